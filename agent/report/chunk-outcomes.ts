import { asBlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { OUTCOMES, type Outcome } from "../../report/backup-figures.js";
import type { VolumeChunks } from "../../repository/format/block-map.js";
import { chunkLength } from "../../repository/format/chunk.js";
import {
  machineName,
  type RecoveryPoint,
  type RecoveryPointVolume,
} from "../../repository/format/recovery-point.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import { pointsNewestFirst } from "../../repository/points/points.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import { chunksOfRanges } from "../backup/plan-volumes.js";
import type { BackupRecorder, StoredBackup } from "../backup/recorder.js";
import type { RunRecord } from "../metrics/run-record.js";

/** Determines the outcome of every chunk once a backup is stored. */
export class OutcomeRecorder implements BackupRecorder {
  /** The outcomes of each volume; undefined before the backup is stored. */
  volumes: VolumeOutcomes[] | undefined;
  /** Whether the previous points could be read; if not, unchanged chunks count as deduplicated. */
  isCompared = false;

  constructor(private readonly notice: (message: string) => void) {}

  begin(): void {}

  reading(): undefined {}

  async stored(backup: StoredBackup): Promise<void> {
    const parents = await this.parentsOf(backup);
    this.isCompared = parents !== undefined;
    this.volumes = chunkOutcomes(backup, parents ?? []);
  }

  /**
   * Splits the duplicates into chunks unchanged since the previous point and others; returns none if unknown.
   */
  duplicates({ stats }: RecoveryPoint): RunRecord["figures"] {
    if (!this.isCompared || this.volumes === undefined) return {};
    const unchangedBytes = this.volumes.reduce((sum, { bytes }) => sum + bytes.unchanged, 0);
    return { unchangedBytes, deduplicatedBytes: stats.duplicateBytes - unchangedBytes };
  }

  private async parentsOf({ known, point }: StoredBackup) {
    try {
      return await loadParents(known, point);
    } catch (error) {
      this.notice(
        `The backup is stored, but could not be compared with the previous one: ${asBlockferryError(error).message} Unchanged chunks are reported as deduplicated.`,
      );
      return undefined;
    }
  }
}

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
function chunkOutcomes(
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
      bytes[outcome] += chunkLength(sizeBytes, position);
    }
    return { parent: parent?.point, chunks: outcomes, bad: chunksOfRanges(badRanges, chunks.count), bytes };
  });
}

const NOTHING = -1;

/** Returns the entry at a position, or none if the volume was smaller then. */
function entryAt(chunks: VolumeChunks | undefined, position: number): number {
  return chunks === undefined || position >= chunks.count ? NOTHING : chunks.get(position);
}

/** A volume in its previous backup. */
interface Parent {
  /** Id of the recovery point. */
  point: string;
  /** The chunks of the volume; a chunk that is no longer indexed counts as zeros. */
  chunks: VolumeChunks;
}

/**
 * Loads the previous backup of each volume of a point.
 * That is the newest earlier point of the same instance, or of the same host, that has a volume of this name.
 * @param known the chunks stored before the backup
 * @throws StorageUnavailable, StorageDenied, Interrupted
 */
async function loadParents(known: StoredChunks, point: RecoveryPoint): Promise<(Parent | undefined)[]> {
  const found = new Map<string, { point: string; volume: RecoveryPointVolume }>();
  for await (const earlier of pointsNewestFirst(known.storage)) {
    if (found.size === point.volumes.length) break;
    const isBefore = earlier.id !== point.id && earlier.createdAt <= point.createdAt;
    if (!isBefore || machineName(earlier) !== machineName(point)) continue;
    for (const volume of earlier.volumes) {
      const isWanted = point.volumes.some(({ name }) => name === volume.name) && !found.has(volume.name);
      if (isWanted) found.set(volume.name, { point: earlier.id, volume });
    }
  }
  const parents: (Parent | undefined)[] = [];
  for (const { name } of point.volumes) {
    const parent = found.get(name);
    parents.push(parent && { point: parent.point, chunks: await loadChunks(known, parent.volume) });
  }
  return parents;
}

/** Loads the chunks of a volume. Lost chunks are left out, as they cannot equal anything. */
function loadChunks(known: StoredChunks, volume: RecoveryPointVolume): Promise<VolumeChunks> {
  return known.loadMap(volume, {
    onMissingChunk: () => undefined,
    onMissingNode: (_position, _length, error) => {
      if (saysNothing(error)) throw error;
    },
  });
}
