import assert from "node:assert/strict";
import { test } from "node:test";
import { keyedHash } from "../../../repository/index/chunk-index-memory.js";

/**
 * HalfSipHash-1-3 of the bytes 0, 1, 2, ... under the key 0 to 7, for 0, 4, 8 bytes and so on:
 * lib/tests/siphash_kunit.c of Linux.
 */
const VECTORS = [
  ...[0x5814c896, 0x7e059ea6, 0x577999b1, 0x6b28096c, 0x8b31d501, 0x911bb605, 0x57150ad7, 0x0a4100d0],
  ...[0xbc6dda8d, 0x7c46fb7f, 0x05327eb2, 0x11795ab1, 0x007783eb, 0xc368dda6, 0x53ecd77e, 0x88b4c4cc],
];

test("the keyed hash is HalfSipHash-1-3", () => {
  const bytes = Buffer.from(Array.from({ length: 64 }, (_, at) => at));
  const hashes = VECTORS.map((_, count) => {
    const words = Uint32Array.from({ length: count }, (_, word) => bytes.readUInt32LE(4 * word));
    return keyedHash(words, [0x03020100, 0x07060504]);
  });
  assert.deepEqual(hashes, VECTORS);
});
