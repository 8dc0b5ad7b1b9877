import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { repairIndex } from "../../../../agent/maintenance/repair-index.js";
import { CHUNK_RECORD_BYTES, ENCODING, writeChunkRecord } from "../../../../repository/format/chunk.js";
import { newConfig } from "../../../../repository/format/config.js";
import { packKey } from "../../../../repository/format/pack.js";
import { loadIndex } from "../../../../repository/index/load-index.js";
import { writeIndexSegment } from "../../../../repository/index/segments.js";
import { openStorage, parseStorageLocation } from "../../../../repository/storage/open-storage.js";
import { writePacks } from "../../../support/packs.js";
import { tempFolder } from "../../../support/temp-folder.js";

const signal = new AbortController().signal;

test("a forged list of true chunks inside a damaged pack costs none of the pack's own chunks", async () => {
  const location = parseStorageLocation(await tempFolder());
  const storage = await openStorage(location);
  const payloads = [randomBytes(1000), randomBytes(2000)] as const;
  const [pack] = await writePacks(storage, payloads, { compression: "none" });
  assert.ok(pack !== undefined);
  await writeIndexSegment(storage, [pack]);
  const inner = payloads[1].subarray(10, 1500);
  const forged = Buffer.alloc(CHUNK_RECORD_BYTES);
  const id = storage.cipher.chunkId(inner);
  const sizes = { offset: 32 + 1000 + 10, storedBytes: inner.length, rawBytes: inner.length };
  writeChunkRecord({ id, ...sizes, crc32: crc32(inner), encoding: ENCODING.raw }, forged, 0);
  await writeIndexSegment(storage, [{ ...pack, footer: forged }]);
  const bytes = await storage.get(packKey(pack.id));
  await storage.delete([packKey(pack.id)]);
  await storage.putStream(packKey(pack.id)).finish(bytes.subarray(0, 32 + 3000));
  await repairIndex({ config: newConfig(randomUUID()), storage, location }, signal);
  const { index } = await loadIndex(storage, { condemned: "last" });
  for (const payload of [...payloads, inner]) assert.ok(index.find(storage.cipher.chunkId(payload)) >= 0);
});
