import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { sealJson } from "../../repository/format/sealed-json.js";
import { Lease } from "../../repository/protocol/lease.js";
import { agent, agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { openWithPassphrase } from "../support/encryption.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { agentFails, assertRestores, assertWhole, backUp } from "../support/repositories.js";
import type { RepositoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";

const JUNK = Buffer.from("junk\n");
const ID = "0123456789abcdef";
const POINT = "points/20401123T112150Z-3f9a1c2b.json";

interface PruneOutput {
  removed: { packs: number };
  waiting: { packs: number };
  unreadable: { object: string; remedy: string }[];
}

interface DocumentsOutput {
  moved: { from: string; to: string }[];
  left: { object: string; code: string }[];
}

/**
 * Tests junk in place of documents, for each kind of storage: nothing is lost, and everything else continues.
 */
export function testUnreadableDocuments(place: RepositoryPlace): void {
  describe(`documents that cannot be read, in ${place.name}`, async () => {
    const random = SeededRandom.fresh();
    const prefix = randomBytes(4).toString("hex");
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    const other = join(folder, "other.img");
    before(async () => {
      await writeRandomFile(image, 700_000, random);
      await writeRandomFile(other, 700_000, random);
    });

    async function repositoryWith(name: string, junk: Record<string, Buffer>): Promise<string> {
      const repo = place.repo(name);
      await place.init(repo);
      await backUp(repo, image);
      for (const [key, body] of Object.entries(junk)) await place.put(name, key, body);
      return repo;
    }
    const newPath = () => join(folder, randomBytes(4).toString("hex"));
    const repair = (repo: string, ...args: string[]) =>
      agentJson<DocumentsOutput>("repair", "documents", "--repo", repo, ...args);
    const pruneNow = (repo: string) =>
      agentJson<PruneOutput>("prune", "--repo", repo, "--grace-period", "0s");

    test(
      "junk in place of leases, signs of life and condemnations stops no backup and no prune, and verify names it",
      fullDepthOnly,
      async () => {
        const keys = [
          `locks/${ID}.json`,
          `locks/${ID}.beat`,
          `prune/${ID}.json`,
          `prune/${ID}-witnesses.json`,
          "prune/noticed.json",
        ];
        const name = `${prefix}/stops-nothing`;
        const repo = await repositoryWith(name, Object.fromEntries(keys.map((key) => [key, JUNK])));
        await backUp(repo, other);
        const named = await agent("verify", "--repo", repo, "--json");
        for (const key of keys) assert.ok(named.stdout.includes(key), `${key} in ${named.stdout}`);
        const { unreadable } = await pruneNow(repo);
        const objects = unreadable.map(({ object }) => object);
        assert.deepEqual(objects.toSorted(), [`locks/${ID}.json`, `prune/${ID}.json`, "prune/noticed.json"]);
        for (const { remedy } of unreadable) assert.match(remedy, /repair documents/);
        const { moved, left } = await repair(repo);
        assert.deepEqual(left, []);
        assert.deepEqual(moved.map(({ from }) => from).toSorted(), [
          `locks/${ID}.beat`,
          `locks/${ID}.json`,
          `prune/${ID}-witnesses.json`,
          `prune/${ID}.json`,
        ]);
        for (const { from, to } of moved) {
          assert.equal(to, `junk/${from}`);
          assert.ok((await place.get(name, to)).equals(JUNK));
        }
        assert.deepEqual(await place.keys(name, "locks/"), []);
        await assertWhole(repo);
        await assertRestores(repo, "latest", other, newPath());
      },
    );

    test("while a lease cannot be read, prune condemns packs and removes none", fullDepthOnly, async () => {
      const name = `${prefix}/lease`;
      const repo = await repositoryWith(name, { [`locks/${ID}.json`]: JUNK });
      const { point } = await backUp(repo, other);
      await agentJson("forget", point, "--repo", repo);
      await pruneNow(repo);
      const packs = await place.keys(name, "packs/");
      const { removed, waiting } = await pruneNow(repo);
      assert.equal(removed.packs, 0);
      assert.ok(waiting.packs > 0);
      assert.deepEqual(await place.keys(name, "packs/"), packs);
      await repair(repo);
      assert.ok((await pruneNow(repo)).removed.packs > 0);
      await assertRestores(repo, "latest", image, newPath());
    });

    test(
      "prune removes nothing while a point cannot be read, and names it and the remedy; backups go on",
      fullDepthOnly,
      async () => {
        const name = `${prefix}/point`;
        const repo = await repositoryWith(name, { [POINT]: JUNK });
        await backUp(repo, other);
        const packs = await place.keys(name, "packs/");
        for (const command of ["prune", "forget"]) {
          const rules = command === "forget" ? ["--keep-last", "1"] : ["--grace-period", "0s"];
          const error = await agentFails(3, command, "--repo", repo, ...rules);
          assert.equal(error.object, POINT);
          assert.match(error.remedy, /repair documents/);
        }
        assert.deepEqual(await place.keys(name, "packs/"), packs);
        const dry = await repair(repo, "--dry-run");
        assert.deepEqual(
          dry.moved.map(({ from }) => from),
          [POINT],
        );
        assert.ok((await place.get(name, POINT)).equals(JUNK));
        await repair(repo);
        assert.deepEqual(await place.keys(name, "junk/"), [`junk/${POINT}`]);
        await pruneNow(repo);
      },
    );

    test("junk of any length, also above the maximum, is moved unchanged, beside earlier junk", async () => {
      const name = `${prefix}/lengths`;
      const large = random.bytes(9 * 1024 * 1024);
      const repo = await repositoryWith(name, {
        [`locks/${ID}.json`]: large,
        "locks/fedcba9876543210.json": Buffer.alloc(0),
        [`junk/locks/${ID}.json`]: JUNK,
      });
      const { moved } = await repair(repo);
      assert.deepEqual(moved.map(({ to }) => to).toSorted(), [
        `junk/locks/${ID}.json.2`,
        "junk/locks/fedcba9876543210.json",
      ]);
      assert.ok((await place.get(name, `junk/locks/${ID}.json.2`)).equals(large));
      assert.ok((await place.get(name, `junk/locks/${ID}.json`)).equals(JUNK));
    });

    test("a document of a later version, a living lease and foreign objects are left where they are", async () => {
      const name = `${prefix}/later`;
      const repo = await repositoryWith(name, { "locks/notes.txt": JUNK, "points/readme.json": JUNK });
      const { storage } = await openWithPassphrase(repo);
      const later = [POINT, `locks/${ID}.json`, `prune/${ID}.json`];
      for (const key of later) await storage.put(key, sealJson({ version: 99, id: ID, features: [] }));
      const lease = await Lease.acquire(storage, "read");
      const before = await place.keys(name, "");
      const { moved, left } = await repair(repo);
      assert.deepEqual(moved, []);
      assert.deepEqual(left.map(({ object }) => object).toSorted(), later.toSorted());
      for (const { code } of left) assert.equal(code, "RepositoryUnsupported");
      assert.deepEqual(await place.keys(name, ""), before);
      await lease.release();
    });

    test(
      "a lease or condemnation that says it has another id removes and replaces no other object",
      fullDepthOnly,
      async () => {
        const name = `${prefix}/ids`;
        const repo = await repositoryWith(name, {});
        const { storage } = await openWithPassphrase(repo);
        const at = new Date(0).toISOString();
        const config = await place.get(name, "config.json");
        const lease = {
          version: 1,
          id: "../config",
          purpose: "backup",
          owner: "00000000-1-1",
          createdAt: at,
        };
        await storage.put(`locks/${ID}.json`, sealJson(lease));
        const condemnation = { version: 1, id: "../config", condemnedAt: at, packs: [] };
        await storage.put(`prune/${ID}.json`, sealJson(condemnation));
        const { unreadable } = await pruneNow(repo);
        assert.equal(unreadable.length, 2);
        assert.ok((await place.get(name, "config.json")).equals(config));
        await repair(repo);
        assert.deepEqual((await pruneNow(repo)).unreadable, []);
        await assertWhole(repo);
      },
    );
  });
}
