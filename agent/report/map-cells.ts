import { MAP_KINDS, MAX_CELLS, type VolumeReport } from "../../report/backup-figures.js";
import type { VolumeOutcomes } from "./chunk-outcomes.js";

const BAD = MAP_KINDS.indexOf("bad");

/** Divides a volume into equal cells, and counts chunks by kind per cell. */
export function mapCells({ chunks, bad }: VolumeOutcomes): Pick<VolumeReport, "chunksPerCell" | "cells"> {
  const chunksPerCell = 2 ** Math.max(0, Math.ceil(Math.log2(chunks.length / MAX_CELLS)));
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
