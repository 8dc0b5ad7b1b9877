import { NumberSet } from "../../foundation/number-set.js";
import { OUTCOMES, type Outcome } from "../../report/backup-figures.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";
import type { StoredBackup } from "../backup/recorder.js";
import { chunksOfRanges } from "../chunks-of-ranges.js";
import type { Parent } from "./parents.js";

/** The outcomes of the chunks of a volume. */
export interface VolumeOutcomes {
  /** Id of the recovery point that it is compared with. */
  parent: string | undefined;
  /** The index in `OUTCOMES` of each chunk's outcome. */
  chunks: Uint8Array;
  /** Chunks with unreadable blocks; they also count under the outcome of the data stored for them. */
  bad: NumberSet;
  bytes: Record<Outcome, number>;
}

/**
 * Returns the outcomes of all chunks, from the block maps alone.
 * The threads thus need not record them. An entry added by this backup, or whose chunk it stored again, is
 * new at its first position and a duplicate at all others.
 * @param parents parents of the volumes, in their order
 */
export function chunkOutcomes(
  {
    point,
    knownEntries,
    storedAgain,
    index,
    volumes,
  }: Pick<StoredBackup, "point" | "knownEntries" | "storedAgain" | "index" | "volumes">,
  parents: (Parent | undefined)[],
): VolumeOutcomes[] {
  const seen = NumberSet.below(index.size);
  const isStored = (entry: number) => entry >= knownEntries || storedAgain.has(entry);
  const outcomeOf = (entry: number, before: number): Outcome => {
    if (entry < 0) return "zero";
    if (isStored(entry) && !seen.has(entry)) {
      seen.add(entry);
      return "new";
    }
    return entry === before ? "unchanged" : "deduplicated";
  };
  return volumes.map(({ chunks }, number) => {
    const { sizeBytes, badRanges } = point.volumes[number] as RecoveryPointVolume;
    const parent = parents[number];
    const outcomes = new Uint8Array(chunks.count);
    const bytes = { zero: 0, unchanged: 0, deduplicated: 0, new: 0 };
    for (let position = 0; position < chunks.count; position++) {
      const outcome = outcomeOf(chunks.get(position), entryAt(parent?.chunks, position));
      outcomes[position] = OUTCOMES.indexOf(outcome);
      bytes[outcome] += Math.min(CHUNK_BYTES, sizeBytes - position * CHUNK_BYTES);
    }
    return { parent: parent?.point, chunks: outcomes, bad: chunksOfRanges(badRanges, chunks.count), bytes };
  });
}

const NOTHING = -1;

/** Returns the entry at a position, or none if the volume was smaller then. */
function entryAt(chunks: VolumeChunks | undefined, position: number): number {
  return chunks === undefined || position >= chunks.count ? NOTHING : chunks.get(position);
}
