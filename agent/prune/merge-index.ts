import {
  type IndexSegment,
  isIndexKey,
  packsOf,
  readIndexSegment,
  writeIndexSegment,
} from "../../repository/index-segment.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";
import { SegmentBatch } from "../segment-batch.js";

/** Segments that list fewer packs than this are merged once there are more than 32 of them. */
const SMALL_SEGMENT_PACKS = 16;
const MAX_SMALL_SEGMENTS = 32;

/**
 * Rewrites segments that list removed packs, and merges small segments.
 * Small segments are merged once there are many. A segment is removed when its packs are in a new one, so a
 * reader always finds every pack.
 */
export async function mergeIndex(storage: Storage, removed: Set<string>): Promise<void> {
  const keys = (await storage.list("index/")).map(({ key }) => key).filter(isIndexKey);
  const outdated: string[] = [];
  const small: string[] = [];
  for (const key of keys) {
    const packs = await packsIn(storage, key);
    if (packs.some(({ id }) => removed.has(id))) outdated.push(key);
    else if (packs.length > 0 && packs.length < SMALL_SEGMENT_PACKS) small.push(key);
  }
  const merged = small.length > MAX_SMALL_SEGMENTS ? [...outdated, ...small] : outdated;
  const batch = new Batch(storage);
  for (const key of merged) await batch.add(key, await readIndexSegment(storage, key), removed);
  await batch.flush();
}

/** @returns no packs for a segment that cannot be read: it stays, and its packs are in no new segment */
async function packsIn(storage: Storage, key: string): Promise<IndexSegment["packs"]> {
  try {
    return (await readIndexSegment(storage, key)).packs;
  } catch (error) {
    if (!saysLost(error)) throw error;
    return [];
  }
}

/** Segments whose packs go into one new segment. */
class Batch {
  private keys: string[] = [];
  private readonly packs = new SegmentBatch();

  constructor(private readonly storage: Storage) {}

  async add(key: string, segment: IndexSegment, removed: Set<string>): Promise<void> {
    this.keys.push(key);
    for (const pack of packsOf(segment)) if (!removed.has(pack.id)) this.packs.add(pack);
    if (this.packs.isFull) await this.flush();
  }

  async flush(): Promise<void> {
    const packs = this.packs.take();
    const written = packs.length === 0 ? undefined : await writeIndexSegment(this.storage, packs);
    await this.storage.delete(this.keys.filter((key) => key !== written));
    this.keys = [];
  }
}
