import assert from "node:assert/strict";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { before, describe, test } from "node:test";
import { ReadRecord } from "../../../agent/verify/read-record.js";
import { type VerifyOptions, verify } from "../../../agent/verify/verify.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { openRepository, type Repository } from "../../../repository/open/repository.js";
import { fullDepthOnly } from "../../support/depth.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, filesBelow, newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;

describe("the cursor of samples", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  let repo = "";
  before(async () => {
    process.env.BLOCKFERRY_STATE_DIR = join(folder, "state");
    await writeRandomFile(image, 2 * MIB, new SeededRandom("cursor"));
    repo = await newRepository(folder);
    await backUp(repo, image);
  });

  const cursorOf = async (path: string) => (await ReadRecord.load(await openRepository(path))).cursor;

  /** Reads half of the packs. Calls `beforeReading` after the index is read and before anything else. */
  function sampleHalf(repository: Repository, { notices = [], ...options }: SampleOptions = {}) {
    return verify(repository, {
      ...{ findPoint: undefined, readPercent: 50, threads: 1, signal: new AbortController().signal },
      watcher: {
        start: () => options.beforeReading?.(),
        stop: () => undefined,
        notice: (message) => notices.push(message),
      },
      ...options,
    });
  }

  interface SampleOptions extends Partial<VerifyOptions> {
    beforeReading?: () => void;
    notices?: string[];
  }

  test("does not move when the run is interrupted, or taken for dead", async () => {
    const repository = await openRepository(repo);
    const interrupt = new AbortController();
    const interrupted = sampleHalf(repository, {
      signal: interrupt.signal,
      beforeReading: () => interrupt.abort(),
    });
    await assert.rejects(interrupted, { code: "Interrupted" });
    const get = repository.storage.get.bind(repository.storage);
    repository.storage.get = async (key, options) => {
      if (key.startsWith("index/"))
        for (const lease of await filesBelow(join(repo, "locks"))) await rm(lease);
      return get(key, options);
    };
    await assert.rejects(sampleHalf(repository), { code: "LeaseLost" });
    assert.equal(await cursorOf(repo), undefined);
  });

  test("stays where it is, with a note, when it cannot be written; the report is still printed", async () => {
    const repository = await openRepository(repo);
    const before = process.env.BLOCKFERRY_STATE_DIR;
    process.env.BLOCKFERRY_STATE_DIR = image;
    const notices: string[] = [];
    const report = await sampleHalf(repository, { notices });
    process.env.BLOCKFERRY_STATE_DIR = before;
    assert.ok(report.packsRead >= 1);
    assert.deepEqual(report.problems, []);
    assert.match(notices.join(), /next sample will start where this one did/);
    assert.equal(await cursorOf(repo), undefined);
  });

  test("is moved by two runs at once as by one, or by both", async () => {
    const repository = await openRepository(repo);
    await Promise.all([sampleHalf(repository), sampleHalf(repository)]);
    await Promise.all([sampleHalf(repository), sampleHalf(repository)]);
    const cursor = await cursorOf(repo);
    assert.notEqual(cursor?.readSince, null, "two runs of a half each have read all");
  });

  test(
    "is kept where no writer of the repository can move it past a damaged pack",
    fullDepthOnly,
    async () => {
      const planted = join(folder, "planted");
      const other = await newRepository(folder, "planted");
      for (let backups = 0; backups < 6; backups++) {
        await writeRandomFile(image, 2 * MIB, new SeededRandom(`planted ${backups}`));
        await backUp(other, image);
      }
      const packs = await filesBelow(join(other, "packs"));
      const sizes = await Promise.all(packs.map(async (path) => (await stat(path)).size));
      const pack = packs[sizes.findIndex((size) => size > MIB)] as string;
      await flipByteAt(pack, 1000);
      const next = (BigInt(`0x${basename(pack)}`) + 1n).toString(16).padStart(32, "0");
      const { storage } = await openRepository(other);
      const now = new Date().toISOString();
      let found = 0;
      for (let run = 0; run < 5; run++) {
        await storage.put(
          "verify/cursor.json",
          sealJson({ version: 1, next, lapBeganAt: now, readSince: now }),
        );
        const { problems, readSince } = await sampleHalf(await openRepository(other), { readPercent: 20 });
        assert.notEqual(readSince, now, "what the repository says of itself does not count");
        found = Math.max(found, problems.length);
      }
      assert.ok(found > 0, `the damage in ${planted} was found by the samples`);
      const plain = await sampleHalf(await openRepository(other), { readPercent: 0 });
      assert.ok(plain.problems.length > 0, "known damage is reported by every later run");
      await flipByteAt(pack, 1000);
      const mended = await sampleHalf(await openRepository(other), { readPercent: 0 });
      assert.deepEqual(mended.problems, [], "until the pack proves");
      const after = await sampleHalf(await openRepository(other), { readPercent: 0 });
      assert.equal(after.packsRead, 0);
    },
  );

  test("is not for samples of one point", async () => {
    const error = await agentFails(2, "verify", "--repo", repo, "--point=latest", "--read-data=50");
    assert.equal(error.code, "Usage");
  });
});

async function flipByteAt(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] as number) ^ 0xff;
  await writeFile(path, bytes);
}
