import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { decodeChunk, encodeChunk } from "../../repository/chunk-codec.js";
import { CHUNK_BYTES, chunkId } from "../../repository/chunk-id.js";
import { CHUNK_RECORD_BYTES, ENCODING, writeChunkRecord } from "../../repository/chunk-record.js";
import { NO_CIPHER } from "../../repository/encryption/no-cipher.js";
import { decodeIndexSegment, encodeIndexSegment } from "../../repository/index-segment.js";
import { recordsOf } from "../../repository/pack-footer.js";
import {
  checkFooter,
  locateFooter,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
  PLAIN_LAYOUT,
  packHeader,
  packTrailer,
} from "../../repository/pack-format.js";
import { sealJson, unsealJson } from "../../repository/sealed-json.js";
import { block, dumped, format } from "./dumps.js";

const PACK_ID = "00112233445566778899aabbccddeeff";
const CHUNKS = [Buffer.from("Hello, block device!\n"), Buffer.alloc(64, "a")];

function trailerOf(pack: Buffer): Buffer {
  return pack.subarray(pack.length - PACK_TRAILER_BYTES);
}

test("the pack in docs/format.md is read as the page says", () => {
  const pack = dumped("pack");
  assert.deepEqual(pack.subarray(0, PACK_HEADER_BYTES), packHeader(PACK_ID, PLAIN_LAYOUT));
  const { offset, length } = locateFooter(PACK_ID, trailerOf(pack), pack.length, PLAIN_LAYOUT);
  const footer = pack.subarray(offset, offset + length);
  checkFooter(PACK_ID, footer, trailerOf(pack), offset, PLAIN_LAYOUT);
  const chunks = recordsOf(footer).map((record) => {
    const stored = pack.subarray(record.offset, record.offset + record.storedBytes);
    return decodeChunk(record, PACK_ID, stored, Buffer.alloc(CHUNK_BYTES), NO_CIPHER).toString();
  });
  assert.deepEqual(chunks, CHUNKS.map(String));
});

test("writing the chunks of docs/format.md gives the very bytes of its pack", () => {
  const payloads: Buffer[] = [];
  const footer = Buffer.alloc(CHUNKS.length * CHUNK_RECORD_BYTES);
  let offset = PACK_HEADER_BYTES;
  for (const [number, chunk] of CHUNKS.entries()) {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    const stored = buffer.subarray(0, encodeChunk(chunk, buffer, 0, "lz4"));
    const record = {
      ...{
        id: chunkId(chunk),
        offset,
        storedBytes: stored.length,
        rawBytes: chunk.length,
        crc32: crc32(stored),
      },
      encoding: stored.length < chunk.length ? ENCODING.lz4 : ENCODING.raw,
    };
    writeChunkRecord(record, footer, number * CHUNK_RECORD_BYTES);
    payloads.push(stored);
    offset += stored.length;
  }
  const pack = Buffer.concat([
    packHeader(PACK_ID, PLAIN_LAYOUT),
    ...payloads,
    footer,
    packTrailer(PACK_ID, footer, offset, PLAIN_LAYOUT),
  ]);
  assert.equal(pack.toString("hex"), dumped("pack").toString("hex"));
});

test("the index segment in docs/format.md lists that pack, and is written in the very bytes of the page", () => {
  const pack = dumped("pack");
  const { offset, length } = locateFooter(PACK_ID, trailerOf(pack), pack.length, PLAIN_LAYOUT);
  const footer = pack.subarray(offset, offset + length);
  const key = /`(index\/[0-9a-f]{64})`/.exec(format)?.[1] ?? "";
  const segment = decodeIndexSegment(dumped("index-segment"), key, NO_CIPHER);
  assert.deepEqual(segment.packs, [{ id: PACK_ID, sizeBytes: pack.length }]);
  const written = encodeIndexSegment([{ id: PACK_ID, sizeBytes: pack.length, footer }]);
  assert.equal(written.toString("hex"), dumped("index-segment").toString("hex"));
});

test("the sealed JSON in docs/format.md opens, and is written in the very bytes of the page", () => {
  const sealed = Buffer.from(`${block("sealed-json")}\n`);
  const body = unsealJson(sealed, z.strictObject({ hello: z.string() }), "example");
  assert.deepEqual(body, { hello: "world" });
  assert.deepEqual(sealJson(body), sealed);
});
