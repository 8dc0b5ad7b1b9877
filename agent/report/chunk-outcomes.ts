import { NumberSet } from "../../foundation/number-set.js";
import { OUTCOMES, type Outcome } from "../../report/backup-figures.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";
import type { StoredBackup } from "../backup/recorder.js";
import { chunksOfRanges } from "../chunks-of-ranges.js";
import type { Parent } from "./parents.js";

/** What became of the chunks of a volume. */
export interface VolumeOutcomes {
  /** Id of the recovery point that it is compared with. */
  parent: string | undefined;
  /** For each chunk the number of its outcome in `OUTCOMES`. */
  chunks: Uint8Array;
  /** Chunks with blocks that could not be read; they count as what was stored for them, too. */
  bad: NumberSet;
  bytes: Record<Outcome, number>;
}

/**
 * Tells the outcomes from the block maps alone, so that the threads need not note them: an entry that the index did not have before is new where it stands
 * first, and a duplicate everywhere else.
 * @param parents of the volumes, in their order
 */
export function chunkOutcomes(
  { point, knownEntries, index, volumes }: Pick<StoredBackup, "point" | "knownEntries" | "index" | "volumes">,
  parents: (Parent | undefined)[],
): VolumeOutcomes[] {
  const seen = NumberSet.below(index.size - knownEntries);
  const outcomeOf = (entry: number, before: number): Outcome => {
    if (entry < 0) return "zero";
    if (entry === before) return "unchanged";
    if (entry < knownEntries || seen.has(entry - knownEntries)) return "deduplicated";
    seen.add(entry - knownEntries);
    return "new";
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

/** The volume may have been smaller then. */
function entryAt(chunks: VolumeChunks | undefined, position: number): number {
  return chunks === undefined || position >= chunks.count ? NOTHING : chunks.get(position);
}
