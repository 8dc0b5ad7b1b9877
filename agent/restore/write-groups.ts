import type { WantedChunk } from "../pack-runs.js";

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
