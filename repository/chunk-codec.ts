import lz4 from "lz4";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { type ChunkRecord, ENCODING } from "./chunk-record.js";
import type { Cipher } from "./encryption/cipher.js";
import { packKey } from "./pack-format.js";

export type Compression = "lz4" | "none";

/**
 * Writes a chunk into `into[at...]`, compressed if that makes it smaller.
 * @returns the bytes written: fewer than `payload.length` exactly when the chunk was compressed
 */
export function encodeChunk(payload: Buffer, into: Buffer, at: number, compression: Compression): number {
  if (compression === "lz4" && payload.length > 1) {
    const compressed = lz4.encodeBlock(payload, into, at, at + payload.length - 1);
    if (compressed > 0) return compressed;
  }
  return payload.copy(into, at);
}

/**
 * Decrypts and decodes a chunk and proves it by its id.
 * @param packId the pack that it was read from
 * @param into takes the chunk at its start
 * @param cipher of the repository
 * @returns the chunk, a view of `into`
 * @throws ChunkCorrupt with the pack and the offset of the chunk in it
 */
export function decodeChunk(
  record: ChunkRecord,
  packId: string,
  stored: Buffer,
  into: Buffer,
  cipher: Cipher,
): Buffer {
  if (stored.length !== record.storedBytes) throw chunkCorrupt(record, packId, "the pack ends within it");
  const encoded = cipher.pack(packId).decrypt("chunk", stored, record.offset);
  if (encoded === undefined) throw chunkCorrupt(record, packId, "it does not match its authentication tag");
  const payload = into.subarray(0, record.rawBytes);
  const rawBytes = decode(record, encoded, payload);
  if (rawBytes !== record.rawBytes) throw chunkCorrupt(record, packId, "it cannot be decompressed");
  if (!cipher.chunkId(payload).equals(record.id))
    throw chunkCorrupt(record, packId, "its hash is not its id");
  return payload;
}

/**
 * Checks the stored bytes themselves. A flipped bit in compressed data may by chance decode to the right
 * chunk. That is good enough for a restore, but a verification must find it. For encrypted chunks
 * `decodeChunk` has already found it.
 * @throws ChunkCorrupt
 */
export function checkStoredBytes(record: ChunkRecord, packId: string, stored: Buffer, cipher: Cipher): void {
  if (cipher.pack(packId).checksum(stored) !== record.crc32)
    throw chunkCorrupt(record, packId, "its CRC-32 differs");
}

function decode(record: ChunkRecord, encoded: Buffer, payload: Buffer): number {
  if (record.encoding === ENCODING.lz4) return lz4.decodeBlock(encoded, payload, 0, encoded.length);
  return record.encoding === ENCODING.raw ? encoded.copy(payload) : -1;
}

function chunkCorrupt(record: ChunkRecord, packId: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `Chunk ${record.id.toString("hex")} is damaged in ${packKey(packId)} at byte ${record.offset}: ${reason}.`,
    remedy: `Run \`blockferry-agent verify --read-data\` to see which recovery points need it. Bring the pack back from a replica; else \`blockferry-agent repair packs ${packId}\` keeps what is left of it, and the next backup stores again what is still on the devices.`,
    object: packKey(packId),
    offset: record.offset,
  });
}
