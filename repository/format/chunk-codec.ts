import { crc32 } from "node:zlib";
import lz4 from "lz4";
import { BlockferryError } from "../../foundation/errors.js";
import { type ChunkRecord, chunkId, ENCODING } from "./chunk.js";
import { type PackLayout, PLAIN_LAYOUT, packKey } from "./pack.js";

/**
 * How a repository protects its contents. It is chosen once, when the repository is opened, so that no other
 * code checks for encryption: `NO_CIPHER` is the cipher of an unencrypted repository.
 */
export interface Cipher {
  readonly layout: PackLayout;
  /** Memory in bytes that it takes in each thread that writes packs. */
  readonly bytesPerThread: number;
  /**
   * Returns a chunk's id: 32 bytes that depend only on its plaintext and, in an encrypted repository,
   * on the key.
   */
  chunkId(payload: Buffer): Buffer;
  /** Returns the cipher of one pack. */
  pack(id: string): PackCipher;
  /**
   * Encrypts an object.
   * @param name of the object, usually its key: it cannot be decrypted under another name
   */
  encryptObject(name: string, body: Uint8Array): Buffer;
  /**
   * Decrypts an object.
   * @returns undefined when it is damaged, or is not the object of this name in this repository
   */
  decryptObject(name: string, bytes: Buffer): Buffer | undefined;
}

/** The parts of a pack that are encrypted, each on its own. */
export type PackPiece = "chunk" | "footer";

export interface PackCipher {
  /**
   * Encrypts bytes `[start, end)` of a buffer in place. The buffer must have room for the tag after them.
   * @param offset in the pack: no two pieces of a pack may have the same
   * @returns the end of the stored bytes
   */
  encrypt(piece: PackPiece, buffer: Buffer, range: { start: number; end: number }, offset: number): number;
  /**
   * Returns the checksum of a chunk's stored bytes for its record: their CRC-32, or 0 for chunks with a tag.
   */
  checksum(stored: Buffer): number;
  /**
   * Decrypts a piece of this pack.
   * @returns the plaintext, which the next call overwrites, or undefined when the bytes are not the ones that
   * were stored at this offset of this pack
   */
  decrypt(piece: PackPiece, stored: Buffer, offset: number): Buffer | undefined;
}

const PLAIN_PACK: PackCipher = {
  encrypt: (_piece, _buffer, { end }) => end,
  checksum: (stored) => crc32(stored),
  decrypt: (_piece, stored) => stored,
};

/** The cipher of an unencrypted repository: leaves everything as it is. */
export const NO_CIPHER: Cipher = {
  layout: PLAIN_LAYOUT,
  bytesPerThread: 0,
  chunkId,
  pack: () => PLAIN_PACK,
  encryptObject: (_name, body) => Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  decryptObject: (_name, bytes) => bytes,
};

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
    remedy: `Run \`blockferry-agent verify --read-data\` to see which recovery points need it. Restore the pack from a replica. Otherwise \`blockferry-agent repair packs ${packId}\` keeps its intact chunks, and the next backup stores the lost data again if they are still on the devices.`,
    object: packKey(packId),
    offset: record.offset,
  });
}
