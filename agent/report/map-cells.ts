import { OUTCOMES, type VolumeOutcomes } from "./chunk-outcomes.js";

/** Of what is in a map: the outcomes, and chunks with blocks that could not be read. */
export const MAP_KINDS = [...OUTCOMES, "bad"] as const;
const BAD = OUTCOMES.length;
const MOST_CELLS = 1024;

/** A volume in stretches of equal length. */
export interface MapCells {
  /** In each cell, but for the last: a power of two. */
  chunksPerCell: number;
  /** For each cell how many of its chunks are of each kind, in the order of `MAP_KINDS`. */
  cells: number[][];
}

export function mapCells({ chunks, bad }: VolumeOutcomes): MapCells {
  const chunksPerCell = 2 ** Math.max(0, Math.ceil(Math.log2(chunks.length / MOST_CELLS)));
  const cells = Array.from({ length: Math.ceil(chunks.length / chunksPerCell) }, () =>
    MAP_KINDS.map(() => 0),
  );
  for (let chunk = 0; chunk < chunks.length; chunk++) {
    const cell = cells[Math.floor(chunk / chunksPerCell)] as number[];
    const kind = bad.has(chunk) ? BAD : (chunks[chunk] as number);
    cell[kind] = (cell[kind] as number) + 1;
  }
  return { chunksPerCell, cells };
}
