import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkCache } from "../../../agent/nbd/volume-reader.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";

/** Makes a cache of three chunks, and a list of the entries in the order of their reads. */
function smallCache(fails: (entry: number) => boolean = () => false) {
  const reads: number[] = [];
  const cache = new ChunkCache(3 * CHUNK_BYTES, async (entry) => {
    reads.push(entry);
    if (fails(entry)) throw new Error(`chunk ${entry} is damaged`);
    return Buffer.from([entry]);
  });
  return { cache, reads };
}

test("the chunks used last are kept, and no more than fit", async () => {
  const { cache, reads } = smallCache();
  for (const entry of [1, 2, 3, 1, 4, 1, 2]) assert.deepEqual([...(await cache.get(entry))], [entry]);
  assert.deepEqual(reads, [1, 2, 3, 4, 2]);
  assert.deepEqual(
    [1, 2, 3, 4].filter((entry) => cache.has(entry)),
    [1, 2, 4],
  );
});

test("a chunk that several requests need at once is read once, also when it is being fetched ahead", async () => {
  const { cache, reads } = smallCache();
  cache.fetch(1);
  await Promise.all([cache.get(1), cache.get(1), cache.get(1)]);
  assert.deepEqual(reads, [1]);
});

test("a chunk that cannot be read is not kept: the next request reads it again", async () => {
  let isDamaged = true;
  const { cache, reads } = smallCache(() => isDamaged);
  cache.fetch(1);
  await assert.rejects(cache.get(1), /chunk 1 is damaged/);
  isDamaged = false;
  await cache.get(1);
  assert.deepEqual(reads, [1, 1]);
});
