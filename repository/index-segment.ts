import { createHash } from "node:crypto";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { CHUNK_ID_BYTES } from "./chunk-id.js";
import { INDEX_ENTRY_BYTES } from "./chunk-index.js";
import { CHUNK_RECORD_BYTES, readChunkRecord } from "./chunk-record.js";
import { PACK_ID_BYTES } from "./pack-format.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import type { Storage } from "./storage/storage.js";

/**
 * An index segment lists packs and every chunk in them, sorted by chunk id. Its name is the SHA-256 of its bytes.
 * docs/format.md gives every byte.
 */
const MAGIC = Buffer.from("BFRYINDX", "latin1");
const FORMAT_VERSION = 1;
const HEADER_BYTES = 32;
const PACK_ROW_BYTES = 24;

/** A finished pack and the records of its chunks, as its footer has them. */
export interface IndexedPack {
  id: string;
  sizeBytes: number;
  footer: Buffer;
}

export interface IndexSegment {
  packs: { id: string; sizeBytes: number }[];
  /** Entries of 56 bytes, sorted by chunk id; the pack number counts the packs of this segment. */
  entries: Buffer;
}

/** @returns the key under which the segment is stored */
export async function writeIndexSegment(storage: Storage, packs: readonly IndexedPack[]): Promise<string> {
  const segment = encodeIndexSegment(packs);
  const key = `index/${sha256Hex(segment)}`;
  await storage.put(key, segment);
  return key;
}

/** @throws ObjectCorrupt, RepositoryUnsupported */
export async function readIndexSegment(storage: Storage, key: string): Promise<IndexSegment> {
  return againIfDamaged(async () => decodeIndexSegment(await storage.get(key), key));
}

export function encodeIndexSegment(packs: readonly IndexedPack[]): Buffer {
  const entries = packs.flatMap((pack, number) => entriesOf(pack, number));
  entries.sort((a, b) => a.compare(b, 0, CHUNK_ID_BYTES, 0, CHUNK_ID_BYTES));
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(FORMAT_VERSION, 8);
  header.writeUInt32LE(packs.length, 12);
  header.writeUInt32LE(entries.length, 16);
  return Buffer.concat([header, ...packs.map(packRow), ...entries]);
}

/** @param key the object's key, whose last part must be the SHA-256 of `bytes` */
export function decodeIndexSegment(bytes: Buffer, key: string): IndexSegment {
  if (key !== `index/${sha256Hex(bytes)}`) throw corrupt(key, bytes.length);
  if (!bytes.subarray(0, 8).equals(MAGIC) || bytes.readUInt32LE(8) !== FORMAT_VERSION) throw unsupported(key);
  const packCount = bytes.readUInt32LE(12);
  const entriesStart = HEADER_BYTES + packCount * PACK_ROW_BYTES;
  const packs = Array.from({ length: packCount }, (_, number) => {
    const at = HEADER_BYTES + number * PACK_ROW_BYTES;
    return {
      id: bytes.toString("hex", at, at + PACK_ID_BYTES),
      sizeBytes: Number(bytes.readBigUInt64LE(at + PACK_ID_BYTES)),
    };
  });
  return { packs, entries: bytes.subarray(entriesStart) };
}

/** The packs of a segment, each with the records of its chunks in the order in which they stand in the pack. */
export function packsOf({ packs, entries }: IndexSegment): IndexedPack[] {
  const records: Buffer[][] = packs.map(() => []);
  for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) {
    const number = entries.readUInt32LE(at + CHUNK_RECORD_BYTES);
    records[number]?.push(entries.subarray(at, at + CHUNK_RECORD_BYTES));
  }
  return packs.map((pack, number) => ({
    ...pack,
    footer: Buffer.concat((records[number] ?? []).sort(byOffset)),
  }));
}

function byOffset(a: Buffer, b: Buffer): number {
  return readChunkRecord(a, 0).offset - readChunkRecord(b, 0).offset;
}

/** Whether an index segment can have this key. */
export function isIndexKey(key: string): boolean {
  return /^index\/[0-9a-f]{64}$/.test(key);
}

/** An upper bound of the chunks that a segment of this size lists. */
export function maxEntriesIn(segmentBytes: number): number {
  return Math.ceil(segmentBytes / INDEX_ENTRY_BYTES);
}

/** The index entries of one pack's chunks. */
export function entriesOf(pack: IndexedPack, packNumber: number): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < pack.footer.length; at += CHUNK_RECORD_BYTES) {
    const entry = Buffer.allocUnsafe(INDEX_ENTRY_BYTES);
    pack.footer.copy(entry, 0, at, at + CHUNK_RECORD_BYTES);
    entry.writeUInt32LE(packNumber, CHUNK_RECORD_BYTES);
    entries.push(entry);
  }
  return entries;
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
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is damaged: the SHA-256 of its bytes 0 to ${sizeBytes} is not its name.`,
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
