import { CHUNK_ID_BYTES } from "./chunk-id.js";
import { CHUNK_RECORD_BYTES, type ChunkRecord, readChunkRecord } from "./chunk-record.js";

/** A chunk record, and the number of the pack that holds the chunk (u32, little-endian). */
export const INDEX_ENTRY_BYTES = CHUNK_RECORD_BYTES + 4;

const ENTRY_WORDS = INDEX_ENTRY_BYTES / 4;
const ID_WORDS = CHUNK_ID_BYTES / 4;
/** 1.5 buckets of 4 bytes for each entry: 62 bytes a chunk in all. */
const BUCKETS_PER_ENTRY = 1.5;
const SLAB_ENTRIES = 2 ** 20;

/** What a thread needs to work on an index that another thread made. */
export interface ChunkIndexMemory {
  buckets: SharedArrayBuffer;
  slabs: SharedArrayBuffer[];
  /** One Int32: entries handed out so far. */
  counter: SharedArrayBuffer;
}

/**
 * Which chunks are stored, and where: a hash table that all threads share and none ever locks.
 *
 * Layout: entries of 56 bytes, dense, in slabs of 2^20; and an open-addressed array of 32-bit buckets, each 0 or the
 * number of an entry plus one. Memory is taken from the kernel page by page as entries are added.
 *
 * Memory ordering: a thread fills an entry that only it knows, then publishes it with a compare-and-swap on the
 * bucket; readers load the bucket atomically before they touch the entry, so they see it whole. Entries are never
 * changed or removed. A thread that loses the race for a bucket keeps its unpublished entry for the next chunk, so
 * up to one entry a thread stays unused.
 */
export class ChunkIndex {
  private readonly buckets: Int32Array;
  private readonly slabs: Uint32Array[];
  private readonly slabBytes: Buffer[];
  private readonly counter: Int32Array;
  /** The id looked for, as words: lives here so that a lookup allocates nothing. */
  private readonly key = new Uint32Array(ID_WORDS);
  private readonly keyBytes = Buffer.from(this.key.buffer);
  /** The most entries that both have a place and leave a bucket free, which ends every search. */
  private readonly limit: number;
  private spareEntry = -1;

  private constructor(readonly memory: ChunkIndexMemory) {
    this.buckets = new Int32Array(memory.buckets);
    this.slabs = memory.slabs.map((slab) => new Uint32Array(slab));
    this.slabBytes = memory.slabs.map((slab) => Buffer.from(slab));
    this.counter = new Int32Array(memory.counter);
    this.limit = Math.min(this.buckets.length - 1, this.slabs.length * SLAB_ENTRIES);
  }

  /** @param capacity the most entries it can take, counting one spare for each thread */
  static create(capacity: number): ChunkIndex {
    return new ChunkIndex({
      buckets: newBuckets(capacity),
      slabs: newSlabs(capacity),
      counter: new SharedArrayBuffer(4),
    });
  }

  static attach(memory: ChunkIndexMemory): ChunkIndex {
    return new ChunkIndex(memory);
  }

  /**
   * The same entries with room for `extra` more. Call it before other threads attach: they do not see the new table.
   */
  withRoomFor(extra: number): ChunkIndex {
    const capacity = this.size + extra;
    const { slabs, counter } = this.memory;
    const moreSlabs = newSlabs(capacity - slabs.length * SLAB_ENTRIES);
    const grown = new ChunkIndex({
      buckets: newBuckets(capacity),
      slabs: [...slabs, ...moreSlabs],
      counter,
    });
    for (const published of this.buckets) {
      if (published > 0) grown.publish(published - 1);
    }
    return grown;
  }

  /** Entries handed out; an upper bound of the chunks known. */
  get size(): number {
    return Atomics.load(this.counter, 0);
  }

  /** @returns the chunk's entry number, or -1 */
  find(id: Buffer): number {
    id.copy(this.keyBytes);
    for (let bucket = this.firstBucket(); ; bucket = this.nextBucket(bucket)) {
      const entry = Atomics.load(this.buckets, bucket) - 1;
      if (entry < 0 || this.entryHasKey(entry)) return entry;
    }
  }

  /**
   * Finds a chunk or registers it; of several threads that bring the same new chunk, exactly one is told to store it.
   * @returns the entry number of a chunk already known, or its bitwise complement (negative) when the caller is the
   * first and must store the chunk
   */
  claim(id: Buffer): number {
    id.copy(this.keyBytes);
    for (let bucket = this.firstBucket(); ; bucket = this.nextBucket(bucket)) {
      let entry = Atomics.load(this.buckets, bucket) - 1;
      if (entry < 0) {
        const mine = this.takeSpareEntry();
        this.wordsOf(mine).set(this.key, this.wordAt(mine));
        entry = Atomics.compareExchange(this.buckets, bucket, 0, mine + 1) - 1;
        if (entry < 0) {
          this.spareEntry = -1;
          return ~mine;
        }
      }
      if (this.entryHasKey(entry)) return entry;
    }
  }

  /** Adds a whole entry from a buffer, unless its chunk is already known. */
  insert(from: Buffer, at: number): void {
    const claimed = this.claim(from.subarray(at, at + CHUNK_ID_BYTES));
    if (claimed < 0) from.copy(this.bytesOf(~claimed), this.byteAt(~claimed), at, at + INDEX_ENTRY_BYTES);
  }

  /** The same for entries that follow each other. */
  insertAll(entries: Buffer): void {
    for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) this.insert(entries, at);
  }

  /** The chunk's id, a view of shared memory. */
  id(entry: number): Buffer {
    const at = this.byteAt(entry);
    return this.bytesOf(entry).subarray(at, at + CHUNK_ID_BYTES);
  }

  /** Where a chunk that was inserted stands; a chunk only claimed has no location yet. */
  record(entry: number): ChunkRecord {
    return readChunkRecord(this.bytesOf(entry), this.byteAt(entry));
  }

  packNumber(entry: number): number {
    return this.bytesOf(entry).readUInt32LE(this.byteAt(entry) + CHUNK_RECORD_BYTES);
  }

  private takeSpareEntry(): number {
    if (this.spareEntry < 0) this.spareEntry = Atomics.add(this.counter, 0, 1);
    if (this.spareEntry >= this.limit) throw new RangeError("The chunk index is full");
    return this.spareEntry;
  }

  /** Makes an entry of a smaller table findable in this one. */
  private publish(entry: number): void {
    this.key.set(this.wordsOf(entry).subarray(this.wordAt(entry), this.wordAt(entry) + ID_WORDS));
    let bucket = this.firstBucket();
    while (this.buckets[bucket] !== 0) bucket = this.nextBucket(bucket);
    this.buckets[bucket] = entry + 1;
  }

  /** Ids are uniformly distributed, so their first 32 bits serve as the hash. */
  private firstBucket(): number {
    return Math.floor(((this.key[0] as number) / 2 ** 32) * this.buckets.length);
  }

  private nextBucket(bucket: number): number {
    return bucket + 1 === this.buckets.length ? 0 : bucket + 1;
  }

  private entryHasKey(entry: number): boolean {
    const words = this.wordsOf(entry);
    const at = this.wordAt(entry);
    for (let i = 0; i < ID_WORDS; i++) {
      if (words[at + i] !== this.key[i]) return false;
    }
    return true;
  }

  private wordsOf(entry: number): Uint32Array {
    return this.slabs[Math.floor(entry / SLAB_ENTRIES)] as Uint32Array;
  }

  private bytesOf(entry: number): Buffer {
    return this.slabBytes[Math.floor(entry / SLAB_ENTRIES)] as Buffer;
  }

  private wordAt(entry: number): number {
    return (entry % SLAB_ENTRIES) * ENTRY_WORDS;
  }

  private byteAt(entry: number): number {
    return (entry % SLAB_ENTRIES) * INDEX_ENTRY_BYTES;
  }
}

function newBuckets(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer((Math.ceil(capacity * BUCKETS_PER_ENTRY) + 1) * Int32Array.BYTES_PER_ELEMENT);
}

function newSlabs(capacity: number): SharedArrayBuffer[] {
  const count = Math.max(0, Math.ceil(capacity / SLAB_ENTRIES));
  return Array.from({ length: count }, () => new SharedArrayBuffer(SLAB_ENTRIES * INDEX_ENTRY_BYTES));
}
