import type { NumberSet } from "../../foundation/number-set.js";
import type { BackupStep } from "../../report/backup-figures.js";
import type { ChunkIndex } from "../../repository/chunk-index.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";
import type { CounterTotals } from "../counters.js";
import type { StageTimes } from "./stage-times.js";

/** A backup whose recovery point is committed. */
export interface StoredBackup {
  point: RecoveryPoint;
  storage: Storage;
  /** The index as loaded before the backup. */
  loaded: LoadedIndex;
  /** Number of entries at that time; entries from this number on belong to this run. */
  knownEntries: number;
  /** The known entries whose chunks proved wrong and were stored again by this run. */
  storedAgain: NumberSet;
  /** The index including the entries that this run added. */
  index: ChunkIndex;
  /** The chunks of each volume, in the order of the point. */
  volumes: { chunks: VolumeChunks }[];
}

/** Records how a backup proceeds; by default nothing is recorded. */
export interface BackupRecorder {
  /** Starts a step, and ends the one before it. */
  begin(step: BackupStep): void;
  /**
   * Called when the threads start to read.
   * @returns where they record their stages; undefined if they do not
   */
  reading(threads: number, totals: () => CounterTotals): StageTimes | undefined;
  /**
   * Called while the lease is still held, so that nothing is removed from the repository. Must not throw: the
   * backup is done.
   */
  stored(backup: StoredBackup): Promise<void>;
}

export const NO_RECORDER: BackupRecorder = {
  begin: () => undefined,
  reading: () => undefined,
  stored: () => Promise.resolve(),
};
