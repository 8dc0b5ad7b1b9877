import { randomBytes, randomFillSync } from "node:crypto";
import {
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  PACK_HEADER_BYTES,
  writeChunkRecord,
} from "../../repository/format/chunk.js";
import { packHeader, packIdOf, packKey, packTrailer } from "../../repository/format/pack.js";
import { writeIndexSegment } from "../../repository/index/segments.js";
import { readPackFooter } from "../../repository/packs/pack-reader.js";
import type { Storage } from "../../repository/storage/storage.js";

/**
 * Replaces the index by segments with false lists of chunks. They name every pack with its true size. An
 * attacker who may write and delete can do this.
 * @param forge changes the records of a pack
 * @returns keys of the new segments
 */
export async function hidePacks(storage: Storage, forge: (footer: Buffer) => Buffer): Promise<string[]> {
  const segments = await storage.list("index/");
  const keys: string[] = [];
  for (const { key, sizeBytes } of await storage.list("packs/")) {
    const pack = await readPackFooter(storage, packIdOf(key) as string, sizeBytes);
    keys.push(await writeIndexSegment(storage, [{ ...pack, footer: forge(Buffer.from(pack.footer)) }]));
  }
  await storage.delete(segments.map(({ key }) => key));
  return keys.sort();
}

/** Returns the records with random ids. */
export function withOtherIds(footer: Buffer): Buffer {
  for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) {
    randomFillSync(footer, at, CHUNK_ID_BYTES);
  }
  return footer;
}

/** Fields of a forged record: its pack does not contain the chunk. */
type Forgery = Pick<ChunkRecord, "id" | "storedBytes" | "rawBytes" | "encoding">;

/**
 * Plants a pack as an attacker who may write to the repository can: valid records, payloads of zeros.
 * @returns its id
 */
export async function plantPack(
  storage: Storage,
  forgeries: Forgery[],
  options: { indexed: boolean },
): Promise<string> {
  const id = randomBytes(16).toString("hex");
  const footer = Buffer.alloc(forgeries.length * CHUNK_RECORD_BYTES);
  let offset = PACK_HEADER_BYTES;
  for (const [number, forgery] of forgeries.entries()) {
    writeChunkRecord({ ...forgery, offset, crc32: 0 }, footer, number * CHUNK_RECORD_BYTES);
    offset += forgery.storedBytes;
  }
  const { layout } = storage.cipher;
  const pack = Buffer.concat([
    packHeader(id, layout),
    Buffer.alloc(offset - PACK_HEADER_BYTES),
    footer,
    packTrailer(id, footer, offset, layout),
  ]);
  await storage.put(packKey(id), pack);
  if (options.indexed) await writeIndexSegment(storage, [{ id, sizeBytes: pack.length, footer }]);
  return id;
}
