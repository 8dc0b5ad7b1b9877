import { BlockferryError } from "../../foundation/errors.js";
import {
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  INDEX_ENTRY_BYTES,
  readChunkRecord,
  recordOffset,
  recordRawBytes,
} from "../format/chunk.js";
import {
  type ChunkIndexMemory,
  keyedHash,
  newBuckets,
  newHashKey,
  newSlabs,
  SLAB_ENTRIES,
} from "./chunk-index-memory.js";

const ENTRY_WORDS = INDEX_ENTRY_BYTES / 4;
const ID_WORDS = CHUNK_ID_BYTES / 4;
/** Buckets and places store an entry number plus one as Int32. */
export const MAX_INDEX_ENTRIES = 2 ** 31 - 2;
/**
 * Places of a chunk that are compared to skip a place that is listed twice.
 * A longer list may contain repeats.
 */
const COMPARED_PLACES = 8;
/**
 * Places of a chunk that are searched for a place that may be missing. Bounds the time that lists of a
 * hostile writer cost.
 */
const SEARCHED_PLACES = 100;

/**
 * A hash table of the stored chunks and their places, shared by all threads without locks.
 *
 * Layout: dense entries of 56 bytes in slabs of 2^20, and an open-addressed array of 32-bit buckets, each 0
 * or an entry number plus one. The kernel provides memory page by page as entries are added.
 *
 * Several packs may list one chunk, and any of them may be damaged or forged. `find` returns the first entry;
 * the others follow it in a list (`places`). Only `insert` adds them, before other threads attach.
 *
 * Memory ordering: a thread fills an entry that only it knows, then publishes it with a compare-and-swap on
 * the bucket. Readers load the bucket atomically before they read the entry, so they see the whole entry.
 * Entries are never changed or removed. A thread that loses the race for a bucket keeps its unpublished entry
 * for the next chunk, so up to one entry for each thread stays unused.
 */
export class ChunkIndex {
  private readonly buckets: Int32Array;
  private readonly slabs: Uint32Array[];
  private readonly slabBytes: Buffer[];
  private readonly nextPlaces: Int32Array[];
  private readonly counter: Int32Array;
  /** By first entry: a place at which the chunk was proven, if that is not its first one. */
  private readonly provenPlaces = new Map<number, number>();
  /** The id of the current lookup, as words. It is a field so that a lookup allocates nothing. */
  private readonly key = new Uint32Array(ID_WORDS);
  private readonly keyBytes = Buffer.from(this.key.buffer);
  /** The most entries: each has a place, and at least one bucket stays free, which ends every search. */
  private readonly limit: number;
  private spareEntry = -1;

  private constructor(readonly memory: ChunkIndexMemory) {
    this.buckets = new Int32Array(memory.buckets);
    this.slabs = memory.slabs.map((slab) => new Uint32Array(slab));
    this.slabBytes = memory.slabs.map((slab) => Buffer.from(slab));
    this.nextPlaces = memory.nextPlaces.map((slab) => new Int32Array(slab));
    this.counter = new Int32Array(memory.counter);
    this.limit = Math.min(this.buckets.length - 1, this.slabs.length * SLAB_ENTRIES);
  }

  /**
   * Creates an empty index.
   * @param capacity the most entries, including one spare entry for each thread
   * @throws RepositoryUnsupported beyond `MAX_INDEX_ENTRIES`
   */
  static create(capacity: number): ChunkIndex {
    refuseTooMany(capacity);
    return new ChunkIndex({
      buckets: newBuckets(capacity),
      slabs: newSlabs(capacity, INDEX_ENTRY_BYTES),
      nextPlaces: newSlabs(capacity, Int32Array.BYTES_PER_ELEMENT),
      hashKey: newHashKey(),
      counter: new SharedArrayBuffer(4),
    });
  }

  static attach(memory: ChunkIndexMemory): ChunkIndex {
    return new ChunkIndex(memory);
  }

  /**
   * Returns an index of the same entries with room for `extra` more. Call it before other threads attach:
   * they do not see the new table.
   * @throws RepositoryUnsupported beyond `MAX_INDEX_ENTRIES`
   */
  withRoomFor(extra: number): ChunkIndex {
    const capacity = this.size + extra;
    refuseTooMany(capacity);
    const { slabs, nextPlaces, hashKey, counter } = this.memory;
    const more = capacity - slabs.length * SLAB_ENTRIES;
    const grown = new ChunkIndex({
      buckets: newBuckets(capacity),
      slabs: [...slabs, ...newSlabs(more, INDEX_ENTRY_BYTES)],
      nextPlaces: [...nextPlaces, ...newSlabs(more, Int32Array.BYTES_PER_ELEMENT)],
      hashKey,
      counter,
    });
    for (const published of this.buckets) {
      if (published > 0) grown.publish(published - 1);
    }
    return grown;
  }

  /** The number of entries allocated: at least one for each chunk, and one for each further place. */
  get size(): number {
    return Atomics.load(this.counter, 0);
  }

  /** Returns the chunk's entry number, or -1. */
  find(id: Buffer): number {
    id.copy(this.keyBytes);
    for (let bucket = this.firstBucket(); ; bucket = this.nextBucket(bucket)) {
      const entry = Atomics.load(this.buckets, bucket) - 1;
      if (entry < 0 || this.entryHasKey(entry)) return entry;
    }
  }

  /**
   * Finds a chunk or registers it. When several threads claim the same new chunk, exactly one of them must
   * store it.
   * @returns the entry number of a known chunk, or its bitwise complement (negative) when the caller is the
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

  /** Adds a whole entry from a buffer: a new chunk, or another place of a known chunk. */
  insert(from: Buffer, at: number): void {
    const claimed = this.claim(from.subarray(at, at + CHUNK_ID_BYTES));
    if (claimed < 0) this.fill(~claimed, from, at);
    else if (!this.hasPlace(claimed, from, at)) this.addPlace(claimed, from, at);
  }

  /** Adds consecutive entries from a buffer. */
  insertAll(entries: Buffer): void {
    for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) this.insert(entries, at);
  }

  /**
   * Returns whether an entry in a buffer is missing here. It is missing if it is neither a known chunk nor
   * one of its places. Returns false for a chunk with very many places.
   */
  lacks(from: Buffer, at: number): boolean {
    let searched = 0;
    for (
      let place = this.find(from.subarray(at, at + CHUNK_ID_BYTES));
      place >= 0;
      place = this.nextPlace(place)
    ) {
      if (searched++ === SEARCHED_PLACES || this.isPlace(place, from, at)) return false;
    }
    return true;
  }

  /** Returns the chunk's id, a view of shared memory. */
  id(entry: number): Buffer {
    const at = this.byteAt(entry);
    return this.bytesOf(entry).subarray(at, at + CHUNK_ID_BYTES);
  }

  /** Returns the record of an inserted chunk; a chunk that is only claimed has no location yet. */
  record(entry: number): ChunkRecord {
    return readChunkRecord(this.bytesOf(entry), this.byteAt(entry));
  }

  packNumber(entry: number): number {
    return this.bytesOf(entry).readUInt32LE(this.byteAt(entry) + CHUNK_RECORD_BYTES);
  }

  /** Returns the next place of the entry's chunk, or -1. */
  nextPlace(entry: number): number {
    return (
      ((this.nextPlaces[Math.floor(entry / SLAB_ENTRIES)] as Int32Array)[entry % SLAB_ENTRIES] as number) - 1
    );
  }

  /**
   * Yields all places of a chunk as entries: first the place known to be good, if any, then `entry`.
   * @param entry from `find`
   */
  *places(entry: number): Generator<number, void> {
    const proven = this.provenPlace(entry);
    yield proven;
    for (let place = entry; place >= 0; place = this.nextPlace(place)) if (place !== proven) yield place;
  }

  /** Returns the place from which to read a chunk. @param entry from `find` */
  provenPlace(entry: number): number {
    return this.provenPlaces.size === 0 ? entry : (this.provenPlaces.get(entry) ?? entry);
  }

  /**
   * Records a good place of a chunk, for this thread only. Later reads skip the other places, which had
   * failed.
   */
  noteProven(entry: number, place: number): void {
    if (place !== entry) this.provenPlaces.set(entry, place);
  }

  /** Returns whether any record of the chunk has this length. @param entry from `find` */
  hasLength(entry: number, rawBytes: number): boolean {
    for (let place = entry; place >= 0; place = this.nextPlace(place)) {
      if (recordRawBytes(this.bytesOf(place), this.byteAt(place)) === rawBytes) return true;
    }
    return false;
  }

  /**
   * Makes another place of a chunk its first one: both entries keep their numbers and swap contents. Only
   * allowed while no other thread is attached.
   * @param entry from `find`
   */
  prefer(entry: number, place: number): void {
    if (entry === place) return;
    this.provenPlaces.delete(entry);
    const held = Buffer.from(this.entryBytes(entry));
    this.fill(entry, this.entryBytes(place), 0);
    this.fill(place, held, 0);
  }

  private fill(entry: number, from: Buffer, at: number): void {
    from.copy(this.bytesOf(entry), this.byteAt(entry), at, at + INDEX_ENTRY_BYTES);
  }

  private entryBytes(entry: number): Buffer {
    const at = this.byteAt(entry);
    return this.bytesOf(entry).subarray(at, at + INDEX_ENTRY_BYTES);
  }

  private hasPlace(entry: number, from: Buffer, at: number): boolean {
    let compared = 0;
    for (let place = entry; place >= 0; place = this.nextPlace(place)) {
      if (compared++ === COMPARED_PLACES) return false;
      if (this.isPlace(place, from, at)) return true;
    }
    return false;
  }

  private isPlace(place: number, from: Buffer, at: number): boolean {
    return (
      this.packNumber(place) === from.readUInt32LE(at + CHUNK_RECORD_BYTES) &&
      recordOffset(this.bytesOf(place), this.byteAt(place)) === recordOffset(from, at) &&
      this.entryBytes(place).equals(from.subarray(at, at + INDEX_ENTRY_BYTES))
    );
  }

  private addPlace(entry: number, from: Buffer, at: number): void {
    const place = this.takeSpareEntry();
    this.spareEntry = -1;
    this.fill(place, from, at);
    this.setNextPlace(place, this.nextPlace(entry));
    this.setNextPlace(entry, place);
  }

  private setNextPlace(entry: number, next: number): void {
    (this.nextPlaces[Math.floor(entry / SLAB_ENTRIES)] as Int32Array)[entry % SLAB_ENTRIES] = next + 1;
  }

  private takeSpareEntry(): number {
    if (this.spareEntry < 0) this.spareEntry = Atomics.add(this.counter, 0, 1);
    if (this.spareEntry >= this.limit) throw new RangeError("The chunk index is full");
    return this.spareEntry;
  }

  /** Adds an entry of a smaller table to this table's buckets. */
  private publish(entry: number): void {
    this.key.set(this.wordsOf(entry).subarray(this.wordAt(entry), this.wordAt(entry) + ID_WORDS));
    let bucket = this.firstBucket();
    while (this.buckets[bucket] !== 0) bucket = this.nextBucket(bucket);
    this.buckets[bucket] = entry + 1;
  }

  private firstBucket(): number {
    return Math.floor((keyedHash(this.key, this.memory.hashKey) / 2 ** 32) * this.buckets.length);
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

function refuseTooMany(entries: number): void {
  if (entries <= MAX_INDEX_ENTRIES) return;
  throw new BlockferryError({
    code: "RepositoryUnsupported",
    message: `The repository lists ${entries} chunks, counting copies; this version of blockferry can use at most ${MAX_INDEX_ENTRIES}.`,
    remedy:
      "Run `blockferry-agent repair index`, which lists each chunk of a pack once, and `prune`. Back up further machines into another repository.",
  });
}

export const PAGE_ENTRIES = 4096;
