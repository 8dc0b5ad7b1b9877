import { createHash } from "node:crypto";
import { CHUNK_RECORD_BYTES } from "../../../repository/format/chunk.js";
import { checkStoredBytes } from "../../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../../repository/format/index-segment.js";
import { PACK_TRAILER_BYTES, packHeader, packIdOf, packKey } from "../../../repository/format/pack.js";
import { StoredChunks } from "../../../repository/index/stored-chunks.js";
import { readPackFooter } from "../../../repository/packs/pack-reader.js";
import type { Storage } from "../../../repository/storage/storage.js";
import type { SeededRandom } from "../../support/random.js";
import { mutateBytes } from "../mutate-bytes.js";
import { copySample, type SampleKind } from "../sample.js";
import { type FuzzTarget, tolerate } from "../target.js";

const MAGIC = Buffer.from("BFRYPEND", "latin1");
const SHA256_BYTES = 32;
/** Bytes of a trailer without checksum and magic. */
const FIELD_BYTES = PACK_TRAILER_BYTES - SHA256_BYTES - MAGIC.length;

/**
 * Packs. Some are changed as they are, so that checksums reject nearly all. Others have a changed footer and
 * trailer, encrypted and sealed with the right checksum, as by an attacker with the key.
 */
export async function packTargets(folder: string, kind: SampleKind): Promise<FuzzTarget[]> {
  const name = `pack footer, ${kind}`;
  const sample = await copySample(folder, kind, name);
  const { storage } = sample;
  const { id, key, footer } = await smallestPack(storage);
  const whole = await storage.get(key);
  const payloadEnd = whole.readUInt32LE(whole.length - FIELD_BYTES - MAGIC.length);
  const fields = whole.subarray(-FIELD_BYTES - MAGIC.length, -MAGIC.length);
  const readAs = async (pack: Buffer) => {
    await sample.replace(key, pack);
    await readAll(storage, id, pack.length);
  };
  return [
    { name: `pack, ${kind}`, seeds: [whole], run: readAs },
    {
      name,
      seeds: [Buffer.concat([footer, fields])],
      mutate: mutateFooter,
      run: (input) => {
        const records = input.subarray(0, Math.max(0, input.length - FIELD_BYTES));
        const stored = encryptFooter(storage, id, records, payloadEnd);
        const trailer = Buffer.alloc(PACK_TRAILER_BYTES);
        input.copy(trailer, SHA256_BYTES, records.length);
        MAGIC.copy(trailer, PACK_TRAILER_BYTES - MAGIC.length);
        createHash("sha256")
          .update(packHeader(id, storage.cipher.layout))
          .update(stored)
          .update(trailer.subarray(SHA256_BYTES))
          .digest()
          .copy(trailer);
        return readAs(Buffer.concat([whole.subarray(0, payloadEnd), stored, trailer]));
      },
    },
  ];
}

/** Returns the smallest pack with more than one chunk: fuzzing 512 KiB of data would be useless. */
async function smallestPack(storage: Storage): Promise<IndexedPack & { key: string }> {
  const packs = (await storage.list("packs/")).sort((a, b) => a.sizeBytes - b.sizeBytes);
  for (const { key, sizeBytes } of packs) {
    const pack = await readPackFooter(storage, packIdOf(key) as string, sizeBytes);
    if (pack.footer.length > CHUNK_RECORD_BYTES) return { ...pack, key };
  }
  throw new Error("The sample has no pack of two chunks.");
}

/** Reads a pack as backups, restores, verifications and repairs do. */
async function readAll(storage: Storage, id: string, sizeBytes: number): Promise<void> {
  const pack = await readPackFooter(storage, id, sizeBytes);
  const stored = StoredChunks.ofPack(storage, pack);
  for (let entry = 0; entry < stored.index.size; entry++) {
    const record = stored.index.record(entry);
    const range = { offset: record.offset, length: record.storedBytes };
    await tolerate(() => stored.read(entry));
    await tolerate(async () =>
      checkStoredBytes(record, id, await storage.get(packKey(id), { range }), storage.cipher),
    );
  }
}

/**
 * Mostly changes only the records, and writes a trailer with their true number, so that the reader parses
 * them.
 */
function mutateFooter(input: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  if (input.length < FIELD_BYTES || random.below(4) === 0) return mutateBytes(input, others, random);
  const records = mutateBytes(input.subarray(0, -FIELD_BYTES), others, random);
  const fields = Buffer.from(input.subarray(-FIELD_BYTES));
  fields.writeUInt32LE(Math.floor(records.length / CHUNK_RECORD_BYTES), 4);
  const whole = records.subarray(0, records.length - (records.length % CHUNK_RECORD_BYTES));
  return Buffer.concat([whole, fields]);
}

function encryptFooter(storage: Storage, id: string, records: Buffer, offset: number): Buffer {
  const { cipher } = storage;
  const buffer = Buffer.alloc(records.length + cipher.layout.tagBytes);
  records.copy(buffer);
  cipher.pack(id).encrypt("footer", buffer, { start: 0, end: records.length }, offset);
  return buffer;
}
