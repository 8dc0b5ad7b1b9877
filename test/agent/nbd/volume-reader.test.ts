import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReadableVolume, VolumeReader } from "../../../agent/nbd/volume-reader.js";
import { NumberSet } from "../../../foundation/number-set.js";
import { VolumeChunks } from "../../../repository/format/block-map.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";

const MIB = 1024 * 1024;

/**
 * Opens a volume whose chunk `n` is stored as entry `n` and filled with `n`.
 * @param lengthOf length of a chunk, to make it wrong
 */
function openVolume(
  sizeBytes: number,
  holes: number[],
  missing: number[] = [],
  lengthOf = (entry: number) => Math.min(CHUNK_BYTES, sizeBytes - entry * CHUNK_BYTES),
) {
  const chunks = VolumeChunks.create(Math.ceil(sizeBytes / CHUNK_BYTES));
  const lost = NumberSet.below(chunks.count);
  for (let position = 0; position < chunks.count; position++) {
    if (missing.includes(position)) lost.add(position);
    else if (!holes.includes(position)) chunks.set(position, position);
  }
  const reads: number[] = [];
  const volume: ReadableVolume = {
    ...{ name: "disk", point: "a point", sizeBytes, chunks, missing: lost, problems: [] },
    falseSegments: [],
    readChunk: async (entry) => {
      reads.push(entry);
      return Buffer.alloc(lengthOf(entry), entry);
    },
    idOf: (entry) => Buffer.alloc(32, entry),
    placeOf: (entry) => `pack ${entry}`,
  };
  const unreadable: string[] = [];
  const onUnreadable = (_error: Error, where: string) => unreadable.push(where);
  return { reader: new VolumeReader(volume, { cacheBytes: 64 * MIB, onUnreadable }), reads, unreadable };
}

test("extents join neighbours of one kind and are cut to the range; a missing chunk is not a hole", () => {
  const { reader } = openVolume(10 * CHUNK_BYTES + 100, [2, 3, 4, 10], [5]);
  assert.deepEqual(
    [...reader.extents({ offset: 10, length: 10 * CHUNK_BYTES + 90 })],
    [
      { kind: "data", offset: 10, length: 2 * CHUNK_BYTES - 10 },
      { kind: "hole", offset: 2 * CHUNK_BYTES, length: 3 * CHUNK_BYTES },
      { kind: "data", offset: 5 * CHUNK_BYTES, length: 5 * CHUNK_BYTES },
      { kind: "hole", offset: 10 * CHUNK_BYTES, length: 100 },
    ],
  );
  const pieces = [...reader.pieces({ offset: CHUNK_BYTES - 1, length: 2 * CHUNK_BYTES })];
  assert.deepEqual(
    pieces.map(({ kind, length }) => [kind, length]),
    [
      ["data", 1],
      ["data", CHUNK_BYTES],
      ["hole", CHUNK_BYTES - 1],
    ],
  );
});

test("scattered reads fetch only the requested chunks; sequential reads fetch the next 8 MiB, without the holes", async () => {
  const { reader, reads } = openVolume(100 * CHUNK_BYTES, [55]);
  for (const position of [90, 10, 50]) {
    const bytes = await reader.read({ offset: position * CHUNK_BYTES + 7, length: 100 });
    assert.ok(bytes.equals(Buffer.alloc(100, position)));
  }
  assert.deepEqual(reads, [90, 10, 50]);
  await reader.read({ offset: 51 * CHUNK_BYTES, length: CHUNK_BYTES });
  const ahead = Array.from({ length: 16 }, (_, number) => 52 + number).filter((position) => position !== 55);
  assert.deepEqual(reads.slice(3), [51, ...ahead]);
  await reader.read({ offset: 99 * CHUNK_BYTES, length: CHUNK_BYTES });
  assert.deepEqual(reads.slice(-1), [99], "the end of the volume");
});

test("a chunk with a wrong length is damage, and is reported once", async () => {
  const { reader, unreadable } = openVolume(2 * CHUNK_BYTES, [], [], (entry) =>
    entry === 1 ? 100 : CHUNK_BYTES,
  );
  await reader.read({ offset: 0, length: CHUNK_BYTES });
  for (let round = 0; round < 3; round++) {
    await assert.rejects(reader.read({ offset: CHUNK_BYTES, length: 50 }), { code: "ChunkCorrupt" });
  }
  assert.deepEqual(unreadable, [`byte ${CHUNK_BYTES} of volume disk, in pack 1`]);
});

test("data that are missing cannot be read, and the rest can", async () => {
  const { reader, unreadable } = openVolume(3 * CHUNK_BYTES, [], [1]);
  await assert.rejects(reader.prove({ offset: 0, length: 3 * CHUNK_BYTES }), {
    code: "ChunkMissing",
    offset: CHUNK_BYTES,
  });
  await reader.prove({ offset: 2 * CHUNK_BYTES, length: CHUNK_BYTES });
  assert.deepEqual(unreadable, [`byte ${CHUNK_BYTES} of volume disk, in no pack`]);
});
