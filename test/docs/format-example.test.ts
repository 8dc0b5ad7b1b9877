import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { signatureBy } from "../../repository/encryption/mac-key.js";
import {
  CHUNK_BYTES,
  CHUNK_RECORD_BYTES,
  chunkId,
  ENCODING,
  PACK_HEADER_BYTES,
  writeChunkRecord,
  ZERO_CHUNK_ID,
} from "../../repository/format/chunk.js";
import { decodeChunk, encodeChunk, NO_CIPHER } from "../../repository/format/chunk-codec.js";
import { decodeIndexSegment, encodeIndexSegment } from "../../repository/format/index-segment.js";
import {
  checkFooter,
  locateFooter,
  PACK_TRAILER_BYTES,
  PLAIN_LAYOUT,
  packHeader,
  packTrailer,
} from "../../repository/format/pack.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { sealJson, sealOf, unsealJson } from "../../repository/format/sealed-json.js";
import { openRepository } from "../../repository/open/repository.js";
import { recordsOf } from "../../repository/packs/pack-reader.js";
import { listPoints } from "../../repository/points/points.js";
import { listTombstones, tombstoneKey, tombstoneMessage } from "../../repository/points/tombstone.js";
import { LocalDirectory } from "../../repository/storage/local/local-directory.js";
import { localMacKey } from "../support/job-keys.js";
import { tempFolder } from "../support/temp-folder.js";
import { block, dumped, format } from "./dumps.js";

const PACK_ID = "00112233445566778899aabbccddeeff";
const CHUNKS = [Buffer.from("Hello, block device!\n"), Buffer.alloc(64, "a")];

function bodyOf(tag: string): unknown {
  return JSON.parse(block(tag)).body;
}

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

test("the block map, config and point in docs/format.md are read as the page says, and written in its very bytes", async () => {
  const node = dumped("block-map");
  const hello = CHUNKS[0] as Buffer;
  assert.deepEqual(node, Buffer.concat([ZERO_CHUNK_ID, ZERO_CHUNK_ID, chunkId(hello)]));
  const folder = await tempFolder();
  for (const [name, tag] of [
    ["config.json", "config"],
    ["points/20261123T112150Z-3f9a1c2b.json", "point"],
  ] as const) {
    await mkdir(join(folder, dirname(name)), { recursive: true });
    await writeFile(join(folder, name), `${block(tag)}\n`);
  }
  const { config, storage } = await openRepository(folder);
  assert.deepEqual(config, bodyOf("config"));
  assert.equal(sealJson(bodyOf("config")).toString(), `${block("config")}\n`);
  const { points, damaged } = await listPoints(storage);
  assert.deepEqual(damaged, []);
  const [point] = points;
  assert.deepEqual(point, bodyOf("point"));
  assert.equal(sealJson(bodyOf("point")).toString(), `${block("point")}\n`);
  assert.equal(point?.volumes[0]?.root, chunkId(node).toString("hex"));
  assert.equal(point?.volumes[0]?.sizeBytes, 2 * CHUNK_BYTES + hello.length);
});

test("the tombstone in docs/format.md is read as the page says, and signed and written in its very bytes", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "forgotten"));
  const { id, repository } = bodyOf("point") as RecoveryPoint;
  await writeFile(join(folder, tombstoneKey(id)), `${block("tombstone")}\n`);
  const { tombstones, unchecked } = await listTombstones(new LocalDirectory(folder));
  const tombstone = tombstones.get(id);
  assert.deepEqual([tombstone, unchecked], [bodyOf("tombstone"), 1]);
  assert.equal(tombstone?.sha256, sealOf(Buffer.from(block("point"))));
  assert.equal(sealJson(tombstone).toString(), `${block("tombstone")}\n`);
  const { signature, ...signed } = tombstone ?? {};
  const message = tombstoneMessage({ repository, point: id }, JSON.stringify(signed));
  assert.equal(message.toString(), `${block("tombstone-message")}\n`);
  assert.deepEqual(signature, await signatureBy(localMacKey("one"), message));
});

test("reserved bytes that are not zero are refused, in a pack's trailer as in an index segment", () => {
  const pack = Buffer.from(dumped("pack"));
  const trailer = trailerOf(pack);
  trailer[47] = 1;
  assert.throws(() => locateFooter(PACK_ID, trailer, pack.length, PLAIN_LAYOUT), { code: "PackCorrupt" });
  const segment = Buffer.from(dumped("index-segment"));
  segment[25] = 1;
  const key = `index/${createHash("sha256").update(segment).digest("hex")}`;
  assert.throws(() => decodeIndexSegment(segment, key, NO_CIPHER), { code: "RepositoryUnsupported" });
});
