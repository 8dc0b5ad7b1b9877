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
