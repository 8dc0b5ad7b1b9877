import { decodeChunk } from "../../repository/chunk-codec.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { Cipher } from "../../repository/encryption/cipher.js";
import type { PackRun } from "../pack-runs.js";
import { wrongChunkLength } from "../wrong-chunk-length.js";
import type { WriteGroup } from "./write-groups.js";

export interface GroupSource {
  packId: string;
  run: PackRun;
  /** The bytes read of the run. */
  bytes: Buffer;
  /** Receives the decoded chunks. */
  slot: Buffer;
  /** Size of the volume that the group is written to. */
  sizeBytes: number;
  /** The cipher of the repository. */
  cipher: Cipher;
}

/**
 * Decodes and proves the chunks of a group, one after another in `slot`.
 * @returns their bytes, a view of `slot`
 * @throws ChunkCorrupt
 */
export function decodeGroup({ chunks, starts }: WriteGroup, source: GroupSource): Buffer {
  const { packId, run, bytes, slot, sizeBytes, cipher } = source;
  let length = 0;
  for (const [number, chunk] of chunks.entries()) {
    const { offset, storedBytes } = chunk.record;
    const stored = bytes.subarray(offset - run.offset, offset - run.offset + storedBytes);
    const into = slot.subarray(length, length + CHUNK_BYTES);
    const payload = decodeChunk(chunk.record, packId, stored, into, cipher);
    for (const start of starts) {
      const position = start + number;
      if (payload.length !== chunkLength(sizeBytes, position))
        throw wrongChunkLength(chunk.record.id, payload.length, position);
    }
    length += payload.length;
  }
  return slot.subarray(0, length);
}

/**
 * Returns the length of the chunk at a position, in bytes.
 * @param sizeBytes size of the volume
 */
export function chunkLength(sizeBytes: number, position: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - position * CHUNK_BYTES);
}
