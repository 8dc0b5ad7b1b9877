import {
  type IndexSegment,
  isIndexKey,
  packsOf,
  readIndexSegment,
  writeIndexSegment,
} from "../../repository/index-segment.js";
import type { Storage } from "../../repository/storage/storage.js";
import { SegmentBatch } from "../segment-batch.js";

/** Segments that list fewer packs are merged, when there are more than so many of them. */
const SMALL_SEGMENT_PACKS = 16;
const MAX_SMALL_SEGMENTS = 32;

/**
 * Rewrites the segments that list packs which are to be removed, and merges small ones once they are many. A segment is
 * removed when its packs are in a new one, so a reader always finds every pack.
 */
export async function mergeIndex(storage: Storage, removed: Set<string>): Promise<void> {
  const keys = (await storage.list("index/")).map(({ key }) => key).filter(isIndexKey);
  const outdated: string[] = [];
  const small: string[] = [];
  for (const key of keys) {
    const { packs } = await readIndexSegment(storage, key);
    if (packs.some(({ id }) => removed.has(id))) outdated.push(key);
    else if (packs.length < SMALL_SEGMENT_PACKS) small.push(key);
  }
  const merged = small.length > MAX_SMALL_SEGMENTS ? [...outdated, ...small] : outdated;
  const batch = new Batch(storage);
  for (const key of merged) await batch.add(key, await readIndexSegment(storage, key), removed);
  await batch.flush();
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
