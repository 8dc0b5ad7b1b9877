import { asBlockferryError } from "../../foundation/blockferry-error.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import type { BackupRecorder, StoredBackup } from "../backup/recorder.js";
import type { RunRecord } from "../metrics/run-record.js";
import { chunkOutcomes, type VolumeOutcomes } from "./chunk-outcomes.js";
import { loadParents } from "./parents.js";

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

  private async parentsOf({ storage, loaded, point }: StoredBackup) {
    try {
      return await loadParents(storage, loaded, point);
    } catch (error) {
      this.notice(
        `The backup is stored, but could not be compared with the one before: ${asBlockferryError(error).message} What is unchanged is told as deduplicated.`,
      );
      return undefined;
    }
  }
}
