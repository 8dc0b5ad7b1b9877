import { createHash } from "node:crypto";
import { BlockferryError } from "../../foundation/errors.js";
import {
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  canStandIn,
  INDEX_ENTRY_BYTES,
  PACK_HEADER_BYTES,
  recordOffset,
  recordStoredBytes,
  rowOrder,
} from "./chunk.js";
import type { Cipher } from "./chunk-codec.js";
import { PACK_ID_BYTES } from "./pack.js";

/**
 * An index segment lists packs and every chunk in them, sorted by chunk id. Its name is the SHA-256 of its
 * bytes. docs/format.md describes every byte.
 */
const MAGIC = Buffer.from("BFRYINDX", "latin1");
const FORMAT_VERSION = 1;
const HEADER_BYTES = 32;
const RESERVED_AT = 20;
const PACK_ROW_BYTES = 24;
/** 16 TiB of packs; segments are closed long before. Each missing pack is a problem of its own. */
const MAX_PACKS = 2 ** 18;
/** The name for encryption. It is not the key, which is known only after encryption. */
export const ENCRYPTED_AS = "index";

/** A finished pack and the records of its chunks, as in its footer. */
export interface IndexedPack {
  id: string;
  sizeBytes: number;
  footer: Buffer;
}

export interface IndexSegment {
  packs: { id: string; sizeBytes: number }[];
  /** Entries of 56 bytes, sorted by chunk id; pack numbers count the packs of this segment. */
  entries: Buffer;
}

export function segmentKey(segment: Buffer): string {
  return `index/${sha256Hex(segment)}`;
}

export function encodeIndexSegment(packs: readonly IndexedPack[]): Buffer {
  const entries = sortedById(Buffer.concat(packs.map((pack, number) => entriesOf(pack, number))));
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(FORMAT_VERSION, 8);
  header.writeUInt32LE(packs.length, 12);
  header.writeUInt32LE(entries.length / INDEX_ENTRY_BYTES, 16);
  return Buffer.concat([header, ...packs.map(packRow), entries]);
}

/**
 * Decodes and checks an index segment.
 * @param key of the object; its last part must be the SHA-256 of `stored`
 * @throws ObjectCorrupt, RepositoryUnsupported
 */
export function decodeIndexSegment(stored: Buffer, key: string, cipher: Cipher): IndexSegment {
  const isNamedSo = key === `index/${sha256Hex(stored)}`;
  const bytes = isNamedSo ? cipher.decryptObject(ENCRYPTED_AS, stored) : undefined;
  if (bytes === undefined) throw corrupt(key, stored.length);
  const isKnown =
    bytes.length >= HEADER_BYTES &&
    bytes.subarray(0, 8).equals(MAGIC) &&
    bytes.readUInt32LE(8) === FORMAT_VERSION &&
    bytes.subarray(RESERVED_AT, HEADER_BYTES).every((byte) => byte === 0);
  if (!isKnown) throw unsupported(key);
  const packCount = bytes.readUInt32LE(12);
  const entriesStart = HEADER_BYTES + packCount * PACK_ROW_BYTES;
  if (packCount > MAX_PACKS) throw malformed(key);
  if (entriesStart + bytes.readUInt32LE(16) * INDEX_ENTRY_BYTES !== bytes.length) throw malformed(key);
  const packs = Array.from({ length: packCount }, (_, number) => {
    const at = HEADER_BYTES + number * PACK_ROW_BYTES;
    return {
      id: bytes.toString("hex", at, at + PACK_ID_BYTES),
      sizeBytes: Number(bytes.readBigUInt64LE(at + PACK_ID_BYTES)),
    };
  });
  const segment = { packs, entries: bytes.subarray(entriesStart) };
  if (!areEntriesPossible(segment, cipher)) throw malformed(key);
  return segment;
}

/**
 * Checks each chunk on its own, and that the chunks of a pack together fit into the pack. A damaged pack may
 * be truncated, so no bytes are reserved for its footer.
 */
function areEntriesPossible({ packs, entries }: IndexSegment, { layout }: Cipher): boolean {
  const takenBytes = new Float64Array(packs.length).fill(PACK_HEADER_BYTES);
  for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) {
    const number = entries.readUInt32LE(at + CHUNK_RECORD_BYTES);
    const pack = packs[number];
    if (pack === undefined || !canStandIn(pack.sizeBytes, layout.tagBytes, entries, at)) return false;
    const taken = (takenBytes[number] as number) + recordStoredBytes(entries, at);
    if (taken > pack.sizeBytes) return false;
    takenBytes[number] = taken;
  }
  return true;
}

/** Returns the packs of a segment with their records. The records of each pack are in pack order. */
export function packsOf({ packs, entries }: IndexSegment): IndexedPack[] {
  const packOf = (row: number) => entries.readUInt32LE(row * INDEX_ENTRY_BYTES + CHUNK_RECORD_BYTES);
  const offsetOf = (row: number) => recordOffset(entries, row * INDEX_ENTRY_BYTES);
  const order = rowOrder(
    entries.length / INDEX_ENTRY_BYTES,
    (row) => packOf(row) * 2 ** 32 + offsetOf(row),
    NEVER_EQUAL,
  );
  const records = Buffer.allocUnsafe(order.length * CHUNK_RECORD_BYTES);
  const ends = new Float64Array(packs.length);
  for (const [place, row] of order.entries()) {
    const at = row * INDEX_ENTRY_BYTES;
    entries.copy(records, place * CHUNK_RECORD_BYTES, at, at + CHUNK_RECORD_BYTES);
    ends[packOf(row)] = (place + 1) * CHUNK_RECORD_BYTES;
  }
  let start = 0;
  return packs.map((pack, number) => {
    const footer = records.subarray(start, Math.max(start, ends[number] as number));
    start += footer.length;
    return { ...pack, footer };
  });
}

/** Two chunks never have the same place. */
const NEVER_EQUAL = () => 0;

/** Returns whether a key has the form of an index segment's key. */
export function isIndexKey(key: string): boolean {
  return /^index\/[0-9a-f]{64}$/.test(key);
}

/** Returns the index entries of a pack's chunks, in the order of its footer. */
export function entriesOf({ footer }: IndexedPack, packNumber: number): Buffer {
  const entries = Buffer.allocUnsafe((footer.length / CHUNK_RECORD_BYTES) * INDEX_ENTRY_BYTES);
  let at = 0;
  for (let from = 0; from < footer.length; from += CHUNK_RECORD_BYTES) {
    footer.copy(entries, at, from, from + CHUNK_RECORD_BYTES);
    entries.writeUInt32LE(packNumber, at + CHUNK_RECORD_BYTES);
    at += INDEX_ENTRY_BYTES;
  }
  return entries;
}

/** Length of an id prefix that a number represents exactly, and that two ids hardly ever share. */
const KEY_BYTES = 6;

function sortedById(entries: Buffer): Buffer {
  const order = rowOrder(
    entries.length / INDEX_ENTRY_BYTES,
    (row) => entries.readUIntBE(row * INDEX_ENTRY_BYTES, KEY_BYTES),
    (a, b) => idAt(entries, a).compare(idAt(entries, b)),
  );
  const sorted = Buffer.allocUnsafe(entries.length);
  for (const [place, row] of order.entries()) {
    const at = row * INDEX_ENTRY_BYTES;
    entries.copy(sorted, place * INDEX_ENTRY_BYTES, at, at + INDEX_ENTRY_BYTES);
  }
  return sorted;
}

function idAt(entries: Buffer, row: number): Buffer {
  return entries.subarray(row * INDEX_ENTRY_BYTES, row * INDEX_ENTRY_BYTES + CHUNK_ID_BYTES);
}

function packRow(pack: IndexedPack): Buffer {
  const row = Buffer.alloc(PACK_ROW_BYTES);
  row.write(pack.id, "hex");
  row.writeBigUInt64LE(BigInt(pack.sizeBytes), PACK_ID_BYTES);
  return row;
}

function sha256Hex(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function corrupt(key: string, sizeBytes: number): BlockferryError {
  return damaged(key, `the SHA-256 of its bytes 0 to ${sizeBytes} differs from its name`);
}

/** Returns the error for a segment that has the right name, but was never written by blockferry. */
function malformed(key: string): BlockferryError {
  return damaged(
    key,
    "it lists chunks at impossible places, more chunks than their pack has room for, or too many packs, or it states a wrong length",
  );
}

function damaged(key: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is damaged: ${reason}.`,
    remedy:
      "Nothing is lost: every pack lists its own chunks. Run `blockferry-agent repair index`, which replaces it.",
    object: key,
    offset: 0,
  });
}

function unsupported(key: string): BlockferryError {
  return new BlockferryError({
    code: "RepositoryUnsupported",
    message: `${key} has a format that this version of blockferry does not know.`,
    remedy: "Use the version of blockferry that wrote it, or a newer one.",
    object: key,
  });
}
