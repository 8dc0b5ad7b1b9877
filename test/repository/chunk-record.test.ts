import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHUNK_ID_BYTES } from "../../repository/chunk-id.js";
import { CHUNK_RECORD_BYTES, readChunkRecord, writeChunkRecord } from "../../repository/chunk-record.js";

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

test("a chunk record comes back as it was written, and nothing beside it is touched", () => {
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
