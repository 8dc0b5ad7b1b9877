import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { AesGcmCipher } from "../../../repository/encryption/aes-gcm-cipher.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import { decodeChunk, type PackPiece } from "../../../repository/format/chunk-codec.js";
import { packHeader, packKey } from "../../../repository/format/pack.js";
import { readPackFooter, recordsOf } from "../../../repository/packs/pack-reader.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { withKey } from "../../../repository/storage/open-storage.js";
import type { Storage } from "../../../repository/storage/storage.js";
import { newKey } from "../../support/encryption.js";
import { writePacks } from "../../support/packs.js";
import { SeededRandom } from "../../support/random.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";

/** Verifies every byte of a pack. @throws PackCorrupt, ChunkCorrupt */
async function readWhole(storage: Storage, id: string, sizeBytes: number): Promise<Buffer[]> {
  const pack = await storage.get(packKey(id));
  const { footer } = await readPackFooter(storage, id, sizeBytes);
  assert.ok(pack.subarray(0, 32).equals(packHeader(id, storage.cipher.layout)), "header");
  return recordsOf(footer).map((record) => {
    const stored = pack.subarray(record.offset, record.offset + record.storedBytes);
    return decodeChunk(record, id, stored, Buffer.alloc(CHUNK_BYTES), storage.cipher);
  });
}

test(
  "chunks of any size come back from encrypted packs, over many parts, and none of them is stored in the clear",
  seeded(async (random) => {
    const folder = await tempFolder();
    const storage = withKey(new LocalDirectory(folder), newKey());
    const sizes = [1, 16, CHUNK_BYTES - 1, ...Array.from({ length: 20 }, () => CHUNK_BYTES)];
    const texts = [Buffer.from("a short text\n"), Buffer.alloc(CHUNK_BYTES, "compressible ")];
    const payloads = [...sizes.map((size) => random.bytes(size)), ...texts];
    const [pack, ...more] = await writePacks(storage, payloads);
    assert.ok(pack !== undefined && more.length === 0);
    assert.deepEqual(await readWhole(storage, pack.id, pack.sizeBytes), payloads);
    const bytes = await readFile(join(folder, packKey(pack.id)));
    assert.equal(bytes.length, pack.sizeBytes);
    for (const payload of payloads.slice(2)) {
      assert.equal(bytes.indexOf(payload.subarray(0, 12)), -1, "plaintext");
      const sha256 = createHash("sha256").update(payload).digest();
      assert.equal(bytes.indexOf(sha256.subarray(0, 8)), -1, "the hash of known data");
    }
  }),
);

test("a pack with any byte changed is refused", async () => {
  const folder = await tempFolder();
  const storage = withKey(new LocalDirectory(folder), newKey());
  const [pack] = await writePacks(storage, [Buffer.from("one chunk"), Buffer.alloc(100, "b")]);
  assert.ok(pack !== undefined);
  const path = join(folder, packKey(pack.id));
  const intact = await readFile(path);
  for (let at = 0; at < intact.length; at++) {
    const damaged = Buffer.from(intact);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 4, at);
    await writeFile(path, damaged);
    await assert.rejects(readWhole(storage, pack.id, pack.sizeBytes), `byte ${at}`);
  }
});

test("a piece of a pack opens in no other pack, at no other offset, and not as another piece", () => {
  const cipher = new AesGcmCipher(newKey());
  const buffer = Buffer.alloc(48, "x");
  const end = cipher.pack("aa".repeat(16)).encrypt("chunk", buffer, { start: 0, end: 32 }, 500);
  assert.equal(end, 48);
  const decrypt = (id: string, piece: PackPiece, offset: number) =>
    cipher.pack(id).decrypt(piece, buffer, offset);
  assert.deepEqual(decrypt("aa".repeat(16), "chunk", 500), Buffer.alloc(32, "x"));
  assert.equal(decrypt("ab".repeat(16), "chunk", 500), undefined);
  assert.equal(decrypt("aa".repeat(16), "chunk", 501), undefined);
  assert.equal(decrypt("aa".repeat(16), "footer", 500), undefined);
});

test("the id of a chunk depends on the key and on nothing else but its bytes", () => {
  const chunk = SeededRandom.fresh().bytes(1000);
  const key = newKey();
  const id = new AesGcmCipher(key).chunkId(chunk);
  assert.deepEqual(new AesGcmCipher(key).chunkId(chunk), id);
  assert.notDeepEqual(new AesGcmCipher(newKey()).chunkId(chunk), id);
  assert.notDeepEqual(createHash("sha256").update(chunk).digest(), id);
});
