import { BlockferryError } from "../../foundation/errors.js";
import { INDEX_ENTRY_BYTES } from "../format/chunk.js";
import {
  decodeIndexSegment,
  ENCRYPTED_AS,
  encodeIndexSegment,
  type IndexedPack,
  type IndexSegment,
  segmentKey,
} from "../format/index-segment.js";
import { maxObjectBytes } from "../format/object-bounds.js";
import { againIfDamaged } from "../storage/read-object.js";
import type { Storage, StoredObject } from "../storage/storage.js";

/** Stores an index segment. @returns its key */
export async function writeIndexSegment(storage: Storage, packs: readonly IndexedPack[]): Promise<string> {
  const segment = storage.cipher.encryptObject(ENCRYPTED_AS, encodeIndexSegment(packs));
  const key = segmentKey(segment);
  try {
    await storage.put(key, segment, { ifNoneMatch: "*" });
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code !== "ObjectExists") throw error;
    await replaceIfDamaged(storage, key, segment);
  }
  return key;
}

/**
 * Replaces a damaged segment. Its name is the hash of its bytes, so another object under that name is equal
 * or damaged.
 */
async function replaceIfDamaged(storage: Storage, key: string, segment: Buffer): Promise<void> {
  if (await isWhole(storage, key)) return;
  await storage.delete([key]);
  await storage.put(key, segment, { ifNoneMatch: "*" });
}

async function isWhole(storage: Storage, key: string): Promise<boolean> {
  try {
    return segmentKey(await storage.get(key)) === key;
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectCorrupt") return false;
    throw error;
  }
}

/** Reads and proves an index segment. @throws ObjectCorrupt, RepositoryUnsupported */
export async function readIndexSegment(storage: Storage, key: string): Promise<IndexSegment> {
  return againIfDamaged(async () => decodeIndexSegment(await storage.get(key), key, storage.cipher));
}

/**
 * Returns an upper bound for the chunks in a segment of this size: 0 if the segment is too large to be read.
 */
export function maxEntriesIn({ key, sizeBytes }: StoredObject): number {
  return sizeBytes > maxObjectBytes(key) ? 0 : Math.ceil(sizeBytes / INDEX_ENTRY_BYTES);
}
