import { CHUNK_BYTES } from "./chunk-id.js";

/**
 * How a chunk is described wherever it is listed: in the footer of its pack, in index segments (which add the
 * number of the pack) and, in those very bytes, in the memory of the chunk index.
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

/** How a chunk's bytes stand in the pack. */
export const ENCODING = { raw: 0, lz4: 1 } as const;

/** One chunk in one pack. */
export interface ChunkRecord {
  id: Buffer;
  /** Where its bytes start in the pack. */
  offset: number;
  /** How many bytes it takes in the pack. */
  storedBytes: number;
  /** How many bytes it has when decoded. */
  rawBytes: number;
  /** CRC-32 (ISO 3309) of the stored bytes; 0 where they are encrypted, and end in a tag. */
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
 * Whether a pack can hold what a record says. Readers make room for as much as it says, so it must be asked before anybody believes it.
 * @param payloadEnd where the pack's payloads end at the latest
 * @param tagBytes that follow each payload
 */
export function canStandIn(payloadEnd: number, tagBytes: number, from: Buffer, at: number): boolean {
  const storedBytes = from.readUInt32LE(at + RECORD.storedBytes);
  return (
    storedBytes <= CHUNK_BYTES + tagBytes &&
    from.readUInt32LE(at + RECORD.rawBytes) <= CHUNK_BYTES &&
    from.readUInt32LE(at + RECORD.offset) + storedBytes <= payloadEnd
  );
}

/** The `offset` of a record alone, for where it is asked for often. */
export function recordOffset(from: Buffer, at: number): number {
  return from.readUInt32LE(at + RECORD.offset);
}
