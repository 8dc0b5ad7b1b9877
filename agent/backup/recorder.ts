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
  /** The index as it was before. */
  loaded: LoadedIndex;
  /** Entries that it had then; those from this number on are of this run. */
  knownEntries: number;
  /** The index with what this run has added. */
  index: ChunkIndex;
  /** What stands where in each volume, in the order of the point. */
  volumes: { chunks: VolumeChunks }[];
}

/** Who writes down how a backup goes; nobody, as a rule. */
export interface BackupRecorder {
  /** A step begins, and the one before it is over. */
  begin(step: BackupStep): void;
  /** The threads begin to read. @returns where they are to note what they are at, if they are */
  reading(threads: number, totals: () => CounterTotals): StageTimes | undefined;
  /** Called while the lease is still held, so that nothing which the repository has is removed. It must not throw: the backup is done. */
  stored(backup: StoredBackup): Promise<void>;
}

export const NO_RECORDER: BackupRecorder = {
  begin: () => undefined,
  reading: () => undefined,
  stored: () => Promise.resolve(),
};
