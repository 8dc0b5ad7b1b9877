import { NumberSet } from "../foundation/number-set.js";
import type { ByteRange } from "../native-free-io/byte-range.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";

/**
 * Returns the chunks that the ranges touch.
 * @param count number of chunks in the volume
 */
export function chunksOfRanges(ranges: ByteRange[], count: number): NumberSet {
  const chunks = NumberSet.below(count);
  for (const { offset, length } of ranges) {
    const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; chunk++) chunks.add(chunk);
  }
  return chunks;
}
