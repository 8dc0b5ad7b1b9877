import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { RepositoryStats } from "../../../agent/maintenance/survey.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import { agent, agentJson } from "../../support/agent.js";
import { overwriteAtRandom, writeRandomFile } from "../../support/random-files.js";
import { backUp, bytesBelow, newRepository } from "../../support/repositories.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";

const CHUNKS = 8;
/** Size of a block-map node of `CHUNKS` chunks. */
const NODE_BYTES = CHUNKS * 32;

const statsOf = (repo: string) => agentJson<RepositoryStats>("stats", "--repo", repo);

test("an empty repository holds nothing", async () => {
  const repo = await newRepository(await tempFolder());
  const stats = await statsOf(repo);
  const { perPoint, ...figures } = stats;
  assert.deepEqual(perPoint, []);
  assert.deepEqual([...new Set(Object.values(figures))], [0]);
});

test(
  "figures are exact: shared data, the space that each point would free, and dead data",
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    const repo = await newRepository(folder);
    await writeRandomFile(image, CHUNKS * CHUNK_BYTES, random);
    const first = await backUp(repo, image);
    await overwriteAtRandom(image, 0, 3 * CHUNK_BYTES, random);
    const second = await backUp(repo, image);
    await backUp(repo, image);

    const stats = await statsOf(repo);
    assert.equal(stats.points, 3);
    assert.equal(stats.logicalBytes, 3 * CHUNKS * CHUNK_BYTES);
    assert.equal(stats.chunks, CHUNKS + 3 + 2);
    assert.equal(stats.uniqueBytes, (CHUNKS + 3) * CHUNK_BYTES + 2 * NODE_BYTES);
    assert.equal(stats.compressedBytes, stats.uniqueBytes, "random bytes do not compress");
    assert.equal(stats.storedBytes, await bytesBelow(join(repo, "packs")));
    assert.equal(stats.deadBytes, 0);
    assert.deepEqual(
      stats.perPoint.map(({ freedBytes }) => freedBytes),
      [3 * CHUNK_BYTES + NODE_BYTES, 0, 0],
      "the second and third need the same",
    );
    assert.equal(stats.perPoint[2]?.deduplication, null);
    const expected = (CHUNKS * CHUNK_BYTES) / second.stats.newBytes;
    assert.equal(stats.perPoint[1]?.deduplication, expected);

    await agentJson("forget", "--repo", repo, first.point);
    const after = await statsOf(repo);
    assert.equal(after.deadBytes, 3 * CHUNK_BYTES + bytesOfPackFor(NODE_BYTES));
    const { stdout } = await agent("stats", "--repo", repo);
    assert.match(stdout, /dead +1\.5 MiB/);
  }),
);

/** Returns the size of a pack with one chunk: header, payload, footer, trailer. */
function bytesOfPackFor(payloadBytes: number): number {
  return 32 + payloadBytes + 52 + 64;
}
