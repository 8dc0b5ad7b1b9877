import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { CreateBucketCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import type { CopyReport } from "../../agent/maintenance/copy.js";
import type { PruneReport } from "../../agent/maintenance/prune.js";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { loadIndex } from "../../repository/index/load-index.js";
import { writeIndexSegment } from "../../repository/index/segments.js";
import { initRepository, openRepository } from "../../repository/open/repository.js";
import { Lease } from "../../repository/protocol/lease.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";
import { agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { plantPacks } from "../support/packs.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../support/random-files.js";
import { agentFails, assertRestores, backUp, newRepository, pointIds } from "../support/repositories.js";
import { S3Objects } from "../support/s3-objects.js";
import { BUCKET, startS3Server } from "../support/s3-server.js";
import { tempFolder } from "../support/temp-folder.js";

const LOCKED_BUCKET = "locked-bucket";
const DAY_MS = 86_400_000;

describe("a backup that is locked", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const random = SeededRandom.fresh();
  const server = await startS3Server("moto");
  const objects = new S3Objects(server.endpointUrl, LOCKED_BUCKET);
  const { client } = objects;

  before(async () => {
    const Bucket = LOCKED_BUCKET;
    await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
    await writeRandomFile(image, 8 * CHUNK_BYTES, random);
  });

  async function newLockable(name: string): Promise<string> {
    const repo = `s3://${LOCKED_BUCKET}/${name}`;
    await initRepository(repo);
    return repo;
  }

  /** Returns the lock of each object below a prefix in days; 0 for no lock. */
  async function lockedDays(prefix: string): Promise<number[]> {
    const keys = await objects.keys(prefix);
    assert.ok(keys.length > 0, prefix);
    return Promise.all(
      keys.map(async (Key) => {
        const head = await client.send(new HeadObjectCommand({ Bucket: LOCKED_BUCKET, Key }));
        const until = head.ObjectLockRetainUntilDate;
        return until === undefined ? 0 : Math.round((until.getTime() - Date.now()) / DAY_MS);
      }),
    );
  }

  test(
    "keeps all that its point needs, for longer where another point needs it longer, and never for less",
    fullDepthOnly,
    async () => {
      const repo = await newLockable("extended");
      await backUp(repo, image, "--lock-days=2");
      const old = await objects.keys("extended/packs/");
      for (const part of ["packs/", "points/", "config.json"]) {
        assert.deepEqual(new Set(await lockedDays(`extended/${part}`)), new Set([2]), part);
      }
      assert.deepEqual(new Set(await lockedDays("extended/index/")), new Set([0]));

      await overwriteAtRandom(image, 0, CHUNK_BYTES, random);
      const until = new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 16);
      await backUp(repo, image, `--lock-until=${until}Z`);
      const days = await lockedDays("extended/packs/");
      assert.ok(days.filter((count) => count === 30).length > days.length - old.length, `${days}`);

      await backUp(repo, image, "--lock-days=1");
      assert.deepEqual(await lockedDays("extended/packs/"), days);
    },
  );

  test("cannot be forgotten: by its id that is an error, and rules keep it", fullDepthOnly, async () => {
    const repo = await newLockable("forgotten");
    const { point } = await backUp(repo, image, "--lock-days=2", "--lock-mode=compliance");
    await backUp(repo, image);
    const error = await agentFails(1, "forget", point, "--repo", repo);
    assert.equal(error.code, "PointLocked");
    assert.match(error.message, /compliance/);
    const { groups } = await agentJson<{ groups: { points: { id: string; keptBy: string[] }[] }[] }>(
      ...["forget", "--repo", repo, "--keep-last=1"],
    );
    const keptBy = groups.flatMap(({ points }) => points).find(({ id }) => id === point)?.keptBy;
    assert.deepEqual(keptBy, ["lock"]);
    assert.equal((await pointIds(repo)).length, 2);
  });

  test("is left alone by prune, with a note, even if its point was removed", fullDepthOnly, async () => {
    const repo = await newLockable("pruned");
    const { point } = await backUp(repo, image, "--lock-days=2");
    const packs = await objects.keys("pruned/packs/");
    await objects.remove(`pruned/points/${point}.json`);
    for (const dryRun of [["--dry-run"], []]) {
      const report = await agentJson<PruneReport>(
        "prune",
        "--repo",
        repo,
        "--grace-period=0s",
        "--allow-no-points",
        ...dryRun,
      );
      assert.equal(report.locked.packs, packs.length);
      assert.equal(report.removed.packs, 0);
    }
    assert.deepEqual(await objects.keys("pruned/packs/"), packs);
    const again = await backUp(repo, image);
    assert.equal(again.stats.newBytes, 0);
    await assertRestores(repo, again.point, image, join(folder, "restored.img"));
  });

  test("keeps packs that were condemned before they were locked", fullDepthOnly, async () => {
    const repo = await newLockable("condemned");
    const { point } = await backUp(repo, image);
    const packs = await objects.keys("condemned/packs/");
    await objects.remove(`condemned/points/${point}.json`);
    const { storage } = await openRepository(parseStorageLocation(repo));
    const lease = await Lease.acquire(storage, "backup", new AbortController().signal);
    const prune = () =>
      agentJson<PruneReport>("prune", "--repo", repo, "--grace-period=0s", "--allow-no-points");
    assert.equal((await prune()).waiting.packs, packs.length);
    await storage.lock(
      packs.map((key) => key.slice("condemned/".length)),
      { mode: "governance", until: new Date(Date.now() + DAY_MS) },
    );
    await lease.release();
    assert.equal((await prune()).removed.packs, 0);
    assert.deepEqual(await objects.keys("condemned/packs/"), packs);
    const again = await backUp(repo, image);
    await assertRestores(repo, again.point, image, join(folder, "condemned.img"));
  });

  test(
    "locks the packs that were proven to hold its chunks, and no planted ones that list the same",
    fullDepthOnly,
    async () => {
      const repo = await newLockable("planted");
      await backUp(repo, image);
      const { storage } = await openRepository(parseStorageLocation(repo));
      const real = await objects.keys("planted/packs/");
      const { index } = await loadIndex(storage, { condemned: "exclude" });
      const garbage = Array.from({ length: index.size }, (_, entry) => ({
        id: Buffer.from(index.id(entry)),
        payload: Buffer.alloc(CHUNK_BYTES, random.bytes(64)),
      }));
      for (let planted = 0; planted < 4; planted++) {
        await writeIndexSegment(storage, await plantPacks(storage, garbage));
      }
      await backUp(repo, image, "--lock-days=2");
      const all = await objects.keys("planted/packs/");
      const days = await lockedDays("planted/packs/");
      const locked = all.filter((_, number) => days[number] !== 0);
      assert.deepEqual(
        locked.filter((key) => !real.includes(key) && days[all.indexOf(key)] !== 2),
        [],
      );
      for (const key of real) assert.ok(locked.includes(key), key);
      const planted = all.filter((key) => !real.includes(key) && locked.includes(key));
      assert.ok(
        planted.length <= 1,
        `besides the real ones, ${planted} are locked: one may hold a new block map`,
      );
    },
  );

  test("is copied without its lock, and a copy twice is one", fullDepthOnly, async () => {
    const repo = await newLockable("copied");
    const { point } = await backUp(repo, image, "--lock-days=2");
    const to = await newRepository(folder, "copied");
    for (const part of ["copied", "present"] as const) {
      const report = await agentJson<CopyReport>("copy", "--from", repo, "--to", to);
      assert.deepEqual(report[part], [point]);
    }
    await agentJson("forget", point, "--repo", to);
    assert.deepEqual(await pointIds(to), []);
  });

  test("is refused where objects cannot be locked, before anything is stored", async () => {
    const unlockable = `s3://${BUCKET}/unlockable`;
    await initRepository(unlockable);
    for (const repo of [unlockable, await newRepository(folder, "local")]) {
      const error = await agentFails(1, "backup", "--repo", repo, "--device", image, "--lock-days=2");
      assert.equal(error.code, "LockUnsupported");
      assert.deepEqual(await pointIds(repo), []);
    }
  });

  test("needs a future time, given once", async () => {
    for (const options of [
      ["--lock-days=0"],
      ["--lock-days=1.5"],
      ["--lock-until=2020-01-01"],
      ["--lock-until=tomorrow"],
      ["--lock-mode=compliance"],
      ["--lock-days=1", "--lock-until=2099-01-01"],
    ]) {
      const error = await agentFails(2, "backup", "--repo", folder, "--device", image, ...options);
      assert.equal(error.code, "Usage", options.join(" "));
    }
  });
});
