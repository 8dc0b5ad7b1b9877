import { randomBytes } from "node:crypto";

/** 64 bits. */
export type HashKey = readonly [number, number];

/**
 * Returns HalfSipHash-1-3, a keyed hash for tables. Without the key, no one can choose inputs that collide.
 * The ids in an object of the repository may be chosen by an attacker. (Linux kernel:
 * Documentation/security/siphash.rst, `hsiphash`)
 * @param words 32 bits each, little-endian
 * @returns an unsigned number of 32 bits
 */
export function keyedHash(words: Uint32Array, [key0, key1]: HashKey): number {
  let v0 = key0 | 0;
  let v1 = key1 | 0;
  let v2 = key0 ^ 0x6c796765;
  let v3 = key1 ^ 0x74656462;
  const { length } = words;
  for (let at = 0; at <= length + FINAL_ROUNDS; at++) {
    const word = wordAt(words, at);
    if (at === length + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 0;
}

const FINAL_ROUNDS = 3;

/**
 * Returns a word of the input. One word with the number of bytes in its highest byte follows the words; the
 * final rounds take no input.
 */
function wordAt(words: Uint32Array, at: number): number {
  if (at < words.length) return words[at] as number;
  return at === words.length ? (words.length * Uint32Array.BYTES_PER_ELEMENT) << 24 : 0;
}

/** 1.5 buckets of 4 bytes for each entry: 62 bytes a chunk in total. */
const BUCKETS_PER_ENTRY = 1.5;
export const SLAB_ENTRIES = 2 ** 20;

/** The memory that a thread needs to work on an index of another thread. */
export interface ChunkIndexMemory {
  buckets: SharedArrayBuffer;
  slabs: SharedArrayBuffer[];
  /**
   * For each entry the number of the chunk's next place plus one, or 0.
   * Used only for chunks with several places.
   */
  nextPlaces: SharedArrayBuffer[];
  /** Random, so that no one can choose ids that fall into the same bucket. */
  hashKey: HashKey;
  /** One Int32: entries allocated so far. */
  counter: SharedArrayBuffer;
}

export function newBuckets(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer((Math.ceil(capacity * BUCKETS_PER_ENTRY) + 1) * Int32Array.BYTES_PER_ELEMENT);
}

export function newSlabs(capacity: number, entryBytes: number): SharedArrayBuffer[] {
  const count = Math.max(0, Math.ceil(capacity / SLAB_ENTRIES));
  return Array.from({ length: count }, () => new SharedArrayBuffer(SLAB_ENTRIES * entryBytes));
}

export function newHashKey(): HashKey {
  const bytes = randomBytes(8);
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}
