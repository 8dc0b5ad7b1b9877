import { BlockferryError } from "../../foundation/blockferry-error.js";
import { decodeChunk } from "../../repository/chunk-codec.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { PackRun, WantedChunk } from "../pack-runs.js";
import type { WriteGroup } from "./write-groups.js";

export interface GroupSource {
  packId: string;
  run: PackRun;
  /** What was read of the run. */
  bytes: Buffer;
  /** Takes what is decoded. */
  slot: Buffer;
  /** Of the volume that the group is written to. */
  sizeBytes: number;
}

/**
 * Decodes and proves the chunks of a group, one after the other in `slot`.
 * @returns their bytes, a view of `slot`
 * @throws ChunkCorrupt
 */
export function decodeGroup({ chunks, starts }: WriteGroup, source: GroupSource): Buffer {
  const { packId, run, bytes, slot, sizeBytes } = source;
  let length = 0;
  for (const [number, chunk] of chunks.entries()) {
    const { offset, storedBytes } = chunk.record;
    const stored = bytes.subarray(offset - run.offset, offset - run.offset + storedBytes);
    const payload = decodeChunk(chunk.record, packId, stored, slot.subarray(length, length + CHUNK_BYTES));
    for (const start of starts) {
      const position = start + number;
      if (payload.length !== chunkLength(sizeBytes, position)) throw wrongLength(chunk, position);
    }
    length += payload.length;
  }
  return slot.subarray(0, length);
}

/** Bytes of the chunk at a position of a volume of `sizeBytes`. */
export function chunkLength(sizeBytes: number, position: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - position * CHUNK_BYTES);
}

function wrongLength({ record }: WantedChunk, position: number): BlockferryError {
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `The block map names chunk ${record.id.toString("hex")} of ${record.rawBytes} bytes at byte ${position * CHUNK_BYTES}, where a chunk of another length belongs.`,
    remedy: "The recovery point was not written by a sound version of blockferry; report this as a bug.",
    object: record.id.toString("hex"),
    offset: position * CHUNK_BYTES,
  });
}
