import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_BYTES, chunkLength } from "../../repository/format/chunk.js";
import { type Cipher, decodeChunk } from "../../repository/format/chunk-codec.js";
import type { PackRun, WantedChunk } from "./pack-runs.js";

interface GroupSource {
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

/** The most chunks of one write: 4 MiB. Fewer, larger writes cost less CPU time and let a disk do more. */
export const MAX_GROUP_CHUNKS = 8;

/** Chunks that are adjacent in the volume and written at once. */
export interface WriteGroup {
  chunks: WantedChunk[];
  /** Positions where the group starts; several only for a single chunk that is wanted more than once. */
  starts: number[];
}

/** Groups the chunks of a run by position; threads that read ahead stored them in any order. */
export function groupWrites(chunks: WantedChunk[]): WriteGroup[] {
  const groups: WriteGroup[] = [];
  for (const chunk of chunks.toSorted((a, b) => firstPosition(a) - firstPosition(b))) {
    const group = groups.at(-1);
    if (group !== undefined && continues(group, chunk)) group.chunks.push(chunk);
    else groups.push({ chunks: [chunk], starts: chunk.positions });
  }
  return groups;
}

/** Returns the same chunks, each in a group of its own. */
export function oneByOne({ chunks, starts }: WriteGroup): WriteGroup[] {
  return chunks.map((chunk, number) => ({ chunks: [chunk], starts: starts.map((start) => start + number) }));
}

function continues({ chunks, starts }: WriteGroup, chunk: WantedChunk): boolean {
  const [start] = starts;
  if (start === undefined || starts.length > 1 || chunk.positions.length > 1) return false;
  return chunks.length < MAX_GROUP_CHUNKS && start + chunks.length === firstPosition(chunk);
}

function firstPosition({ positions }: WantedChunk): number {
  return positions[0] as number;
}

/**
 * Describes a proven chunk at a position that needs a chunk of another length.
 * @param position chunk number in the volume
 */
export function wrongChunkLength(id: Buffer, lengthBytes: number, position: number): BlockferryError {
  const offset = position * CHUNK_BYTES;
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `The block map names chunk ${id.toString("hex")} of ${lengthBytes} bytes at byte ${offset}, where the chunk must have another length.`,
    remedy: "The recovery point was not written by a correct version of blockferry; report this as a bug.",
    object: id.toString("hex"),
    offset,
  });
}
