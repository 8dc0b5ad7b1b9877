import * as crypto from "node:crypto";

/** Size of every chunk except the last of a volume: the block size of EBS snapshots. */
export const CHUNK_BYTES = 512 * 1024;

export const CHUNK_ID_BYTES = 32;

/** Stands for a chunk of zeros in a block map. Such a chunk is never stored. */
export const ZERO_CHUNK_ID = Buffer.alloc(CHUNK_ID_BYTES);

/**
 * Returns a chunk's id in an unencrypted repository: the SHA-256 of its plaintext, 32 bytes. `Cipher.chunkId`
 * returns the id for any repository.
 */
export function chunkId(payload: Buffer): Buffer {
  return crypto.hash("sha256", payload, "buffer");
}

export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

/**
 * Returns the length of the chunk at a position, in bytes.
 * @param sizeBytes size of the volume
 */
export function chunkLength(sizeBytes: number, position: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - position * CHUNK_BYTES);
}

/** Offset of the first payload in a pack. */
export const PACK_HEADER_BYTES = 32;

/**
 * Size of a chunk's description in bytes. It is the same everywhere: in the footer of a pack, in index
 * segments (which add the pack number), and in the memory of the chunk index.
 */
export const CHUNK_RECORD_BYTES = 52;

/** Byte offsets of a record's fields; integers are unsigned, little-endian. */
const RECORD = {
  id: 0,
  offset: 32,
  storedBytes: 36,
  rawBytes: 40,
  crc32: 44,
  encoding: 48,
} as const;

/** Encodings of a chunk in a pack. */
export const ENCODING = { raw: 0, lz4: 1 } as const;

/** One chunk in one pack. */
export interface ChunkRecord {
  id: Buffer;
  /** Offset of the stored bytes in the pack. */
  offset: number;
  /** Number of bytes in the pack. */
  storedBytes: number;
  /** Number of bytes after decoding. */
  rawBytes: number;
  /** CRC-32 (ISO 3309) of the stored bytes; 0 for encrypted chunks, whose stored bytes end in a tag. */
  crc32: number;
  encoding: number;
}

export function writeChunkRecord(record: ChunkRecord, into: Buffer, at: number): void {
  record.id.copy(into, at + RECORD.id);
  into.writeUInt32LE(record.offset, at + RECORD.offset);
  into.writeUInt32LE(record.storedBytes, at + RECORD.storedBytes);
  into.writeUInt32LE(record.rawBytes, at + RECORD.rawBytes);
  into.writeUInt32LE(record.crc32, at + RECORD.crc32);
  into.writeUInt32LE(record.encoding, at + RECORD.encoding);
}

export function readChunkRecord(from: Buffer, at: number): ChunkRecord {
  return {
    id: from.subarray(at + RECORD.id, at + RECORD.offset),
    offset: from.readUInt32LE(at + RECORD.offset),
    storedBytes: from.readUInt32LE(at + RECORD.storedBytes),
    rawBytes: from.readUInt32LE(at + RECORD.rawBytes),
    crc32: from.readUInt32LE(at + RECORD.crc32),
    encoding: from.readUInt32LE(at + RECORD.encoding),
  };
}

/**
 * The most bytes that one byte of an LZ4 block can decode to:
 * a length byte of 255 in a match (LZ4 block format).
 */
const MAX_LZ4_RATIO = 255;

/**
 * Returns whether a record can be true: its chunk has a known encoding, possible lengths for that encoding,
 * and lies within the payloads. Readers allocate memory for these lengths, and backups rely on the chunk, so
 * both must check this first.
 * @param payloadEnd upper bound of the end of the pack's payloads
 * @param tagBytes bytes after each payload
 */
export function canStandIn(payloadEnd: number, tagBytes: number, from: Buffer, at: number): boolean {
  const storedBytes = from.readUInt32LE(at + RECORD.storedBytes);
  const rawBytes = from.readUInt32LE(at + RECORD.rawBytes);
  return (
    rawBytes > 0 &&
    rawBytes <= CHUNK_BYTES &&
    isPossible(from.readUInt32LE(at + RECORD.encoding), storedBytes - tagBytes, rawBytes) &&
    from.readUInt32LE(at + RECORD.offset) >= PACK_HEADER_BYTES &&
    from.readUInt32LE(at + RECORD.offset) + storedBytes <= payloadEnd
  );
}

function isPossible(encoding: number, encodedBytes: number, rawBytes: number): boolean {
  if (encoding === ENCODING.raw) return encodedBytes === rawBytes;
  return (
    encoding === ENCODING.lz4 &&
    encodedBytes > 0 &&
    encodedBytes < rawBytes &&
    rawBytes <= MAX_LZ4_RATIO * encodedBytes
  );
}

/** Returns only the `offset` of a record, for hot loops. */
export function recordOffset(from: Buffer, at: number): number {
  return from.readUInt32LE(at + RECORD.offset);
}

/** Returns only `storedBytes` of a record. */
export function recordStoredBytes(from: Buffer, at: number): number {
  return from.readUInt32LE(at + RECORD.storedBytes);
}

/** Returns only `rawBytes` of a record. */
export function recordRawBytes(from: Buffer, at: number): number {
  return from.readUInt32LE(at + RECORD.rawBytes);
}

/**
 * Sorts rows without creating an object for each: millions of entries would take a hundred bytes each.
 * @param count rows, numbered from 0
 * @param keyOf returns the key of a row, a number that sorts it
 * @param compareEqual decides between rows with the same key
 * @returns the row numbers in their order
 */
export function rowOrder(
  count: number,
  keyOf: (row: number) => number,
  compareEqual: (a: number, b: number) => number,
): Uint32Array {
  const keys = Float64Array.from({ length: count }, (_, row) => keyOf(row));
  const order = Uint32Array.from({ length: count }, (_, row) => row);
  return order.sort((a, b) => (keys[a] as number) - (keys[b] as number) || compareEqual(a, b));
}

/** A chunk record, and the number of the pack with the chunk (u32, little-endian). */
export const INDEX_ENTRY_BYTES = CHUNK_RECORD_BYTES + 4;
