import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CHUNK_BYTES,
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  canStandIn,
  ENCODING,
  PACK_HEADER_BYTES,
  readChunkRecord,
  writeChunkRecord,
} from "../../../repository/format/chunk.js";

const u32 = fc.nat({ max: 0xffff_ffff });
const record = fc.record(
  {
    id: fc.uint8Array({ minLength: CHUNK_ID_BYTES, maxLength: CHUNK_ID_BYTES }).map((id) => Buffer.from(id)),
    offset: u32,
    storedBytes: u32,
    rawBytes: u32,
    crc32: u32,
    encoding: u32,
  },
  { noNullPrototype: true },
);

test("a chunk record is read back as it was written, and no other bytes are touched", () => {
  fc.assert(
    fc.property(record, fc.nat({ max: 100 }), fc.nat({ max: 255 }), (written, at, filler) => {
      const bytes = Buffer.alloc(at + CHUNK_RECORD_BYTES + 10, filler);
      writeChunkRecord(written, bytes, at);
      assert.deepEqual(readChunkRecord(bytes, at), written);
      const beside = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + CHUNK_RECORD_BYTES)]);
      assert.ok(beside.equals(Buffer.alloc(at + 10, filler)));
    }),
  );
});

test("a record is possible only with a known encoding, lengths that this can have, and a place within the payloads", () => {
  const good = { offset: PACK_HEADER_BYTES, storedBytes: 1000, rawBytes: 4000, encoding: ENCODING.lz4 };
  const payloadEnd = 2 ** 20;
  const isPossible = (change: Partial<ChunkRecord>, tagBytes = 0) => {
    const bytes = Buffer.alloc(CHUNK_RECORD_BYTES);
    writeChunkRecord({ id: Buffer.alloc(CHUNK_ID_BYTES), crc32: 0, ...good, ...change }, bytes, 0);
    return canStandIn(payloadEnd, tagBytes, bytes, 0);
  };
  const raw = { encoding: ENCODING.raw, rawBytes: 1000 };
  assert.ok(isPossible({}));
  assert.ok(isPossible(raw));
  assert.ok(isPossible({ storedBytes: 16 }));
  assert.ok(isPossible({ rawBytes: 255 * 1000 }));
  assert.ok(isPossible({ offset: payloadEnd - 1000 }));
  assert.ok(isPossible({ ...raw, storedBytes: 1016 }, 16), "a tag follows what is encrypted");
  for (const [what, change] of Object.entries({
    "an unknown encoding": { encoding: 2 },
    "stored raw as more bytes than it has": { ...raw, storedBytes: 1001 },
    "stored raw as fewer bytes than it has": { ...raw, storedBytes: 999 },
    "compressed to as many bytes": { rawBytes: 1000 },
    "compressed to more bytes": { rawBytes: 999 },
    "compressed to nothing": { storedBytes: 0 },
    "compressed better than LZ4 can": { rawBytes: 255 * 1000 + 1 },
    "longer than a chunk": { storedBytes: 2 ** 19, rawBytes: CHUNK_BYTES + 1 },
    "in the header of the pack": { offset: PACK_HEADER_BYTES - 1 },
    "past the payloads": { offset: payloadEnd - 999 },
  })) {
    assert.ok(!isPossible(change), what);
  }
  assert.ok(!isPossible({ storedBytes: 15 }, 16), "shorter than its tag");
  assert.ok(!isPossible({ storedBytes: 16 }, 16), "compressed to nothing but a tag");
});
