import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CopyReport } from "../../../agent/maintenance/copy.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { SeededRandom } from "../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  bytesBelow,
  filesBelow,
  newRepository,
  pointIds,
} from "../../support/repositories.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";
import { waitUntil } from "../../support/wait-until.js";

const CHUNKS = 40;

/** Makes a repository with two points, and the image of each. */
async function twoPoints(random: SeededRandom) {
  const folder = await tempFolder();
  const [old, now] = [join(folder, "old.img"), join(folder, "now.img")] as const;
  const from = await newRepository(folder, "from");
  await writeRandomFile(old, CHUNKS * CHUNK_BYTES, random);
  const first = await backUp(from, `${old}=disk`);
  await writeFile(now, await readFile(old));
  await overwriteAtRandom(now, 0, 3 * CHUNK_BYTES, random);
  const second = await backUp(from, `${now}=disk`);
  return { folder, from, old, now, first: first.point, second: second.point };
}

const copy = (from: string, to: string, ...points: string[]) =>
  agentJson<CopyReport>("copy", "--from", from, "--to", to, ...points);

test(
  "points keep their ids, come back bit for bit, and only missing chunks travel",
  seeded(async (random) => {
    const { folder, from, old, now, first, second } = await twoPoints(random);
    const to = await newRepository(folder, "to");
    const one = await copy(from, to, first);
    assert.deepEqual([one.copied, one.present, one.chunks], [[first], [], CHUNKS + 1]);
    assert.deepEqual(await pointIds(to), [first]);
    const rest = await copy(from, to);
    assert.deepEqual([rest.copied, rest.present, rest.chunks], [[second], [first], 3 + 1]);
    const nothing = await copy(from, to);
    assert.deepEqual([nothing.copied, nothing.chunks, nothing.storedBytes], [[], 0, 0]);
    await assertRestores(to, first, old, join(folder, "old.restored"));
    await assertRestores(to, second, now, join(folder, "now.restored"));
    await assertWhole(to);
    assert.deepEqual(await filesBelow(join(from, "locks")), []);
    const { stats } = await backUp(to, `${now}=disk`);
    assert.equal(stats.newBytes, 0, "a backup relies on what was copied");
  }),
);

test(
  "a killed copy leaves no half point, and the next one does not store the same data again",
  fullDepthOnly,
  seeded(async (random) => {
    const { folder, from, now, second } = await twoPoints(random);
    const to = await newRepository(folder, "to");
    await backUp(to, `${now}=disk`);
    const whole = await bytesBelow(join(to, "packs"));
    const target = await newRepository(folder, "target");
    const killed = startAgent(["copy", "--from", from, "--to", target]);
    await waitUntil("bytes to be copied", async () => (await bytesBelow(target)) > 2 * CHUNK_BYTES);
    killed.process.kill("SIGKILL");
    await killed.result;
    await copy(from, target, second);
    await assertRestores(target, second, now, join(folder, "restored"));
    await assertWhole(target);
    const overhead = 64 * 1024;
    assert.ok((await bytesBelow(join(target, "packs"))) < whole + 3 * CHUNK_BYTES + overhead);
  }),
);

test(
  "a point that is damaged, or lacks data, is not copied, and the reason is given",
  seeded(async (random) => {
    const { folder, from } = await twoPoints(random);
    const to = await newRepository(folder, "to");
    for (const pack of await filesBelow(join(from, "packs"))) {
      const bytes = await readFile(pack);
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
      await writeFile(pack, bytes);
    }
    assert.equal((await agentFails(3, "copy", "--from", from, "--to", to)).code, "ChunkCorrupt");
    assert.deepEqual(await pointIds(to), []);
    await assertWhole(to);
  }),
);

test("wrong usage is refused", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  for (const args of [
    ["--from", repo, "--to", repo],
    ["--from", repo, "--to", `${repo}/`],
    ["--from", repo],
  ]) {
    assert.equal((await agentFails(2, "copy", ...args)).code, "Usage");
  }
  const other = await newRepository(folder, "other");
  const error = await agentFails(1, "copy", "20200101", "--from", repo, "--to", other);
  assert.equal(error.code, "PointNotFound");
});

describe("between a directory and a bucket", needing("versitygw"), async () => {
  await startS3Server("versitygw");

  test("points travel there and back", async () => {
    const { folder, from, now, second } = await twoPoints(SeededRandom.fresh());
    const bucket = `s3://${BUCKET}/copy`;
    await agentJson("init", "--repo", bucket);
    await copy(from, bucket, "latest");
    const back = await newRepository(folder, "back");
    const { stdout } = await agent("copy", "--from", bucket, "--to", back);
    assert.match(stdout, new RegExp(`1 points copied .*\n +${second}`));
    await assertRestores(back, second, now, join(folder, "back.restored"));
    await assertWhole(back);
  });
});
