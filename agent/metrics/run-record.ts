import { asBlockferryError, type ErrorCode } from "../../foundation/errors.js";
import type { RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import { RetryCount } from "../../repository/storage/s3/s3-location.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { RunWatcher, WatchedRun } from "../threads/shared-memory.js";

/** `serve` stands for jobs that a service ended before they started: refused and cancelled ones. */
export type MeteredCommand = "backup" | "restore" | "verify" | "prune" | "serve";

/** The metrics of a run that has ended, successfully or not. */
export interface RunRecord {
  command: MeteredCommand;
  /** Id of the EC2 instance that was backed up or restored, if a job names one. */
  instance?: string | undefined;
  startedAt: Date;
  endedAt: Date;
  /** Undefined for a run that succeeded. */
  errorCode: ErrorCode | undefined;
  /** The figures that apply to the command, as far as the run got. */
  figures: Partial<Record<Figure, number>>;
  volumes: VolumeFigures[];
}

export interface VolumeFigures {
  name: string;
  sizeBytes: number;
  /** Stored as zeros, because they could not be read or were lost. */
  unreadableBytes: number;
}

export function volumeFigures({ name, sizeBytes, badRanges }: RecoveryPointVolume): VolumeFigures {
  const unreadableBytes = badRanges.reduce((sum, { length }) => sum + length, 0);
  return { name, sizeBytes, unreadableBytes };
}

type Figure = (typeof FIGURES)[number]["figure"];

/**
 * Every figure with its names in Prometheus and CloudWatch.
 * The Prometheus name is without the prefix; the CloudWatch name has a unit. docs/reference/metrics.md lists them.
 */
export const FIGURES = [
  {
    ...{ figure: "sourceBytes", prometheus: "run_source_bytes", emf: "SourceBytes", unit: "Bytes" as const },
    help: "Size of the data that the run had to process.",
  },
  {
    ...{ figure: "readBytes", prometheus: "run_read_bytes", emf: "ReadBytes", unit: "Bytes" as const },
    help: "Bytes that the run processed, holes and zeros included.",
  },
  {
    ...{ figure: "zeroBytes", prometheus: "run_zero_bytes", emf: "ZeroBytes", unit: "Bytes" as const },
    help: "Processed chunks of zeros.",
  },
  {
    ...{
      figure: "duplicateBytes",
      prometheus: "run_duplicate_bytes",
      emf: "DuplicateBytes",
      unit: "Bytes" as const,
    },
    help: "Chunks of data and of block maps that were already stored, by an earlier run or by this one.",
  },
  {
    ...{
      figure: "unchangedBytes",
      prometheus: "run_unchanged_bytes",
      emf: "UnchangedBytes",
      unit: "Bytes" as const,
    },
    help: "Duplicates that the last backup of the same volume has at the same place.",
  },
  {
    ...{
      figure: "deduplicatedBytes",
      prometheus: "run_deduplicated_bytes",
      emf: "DeduplicatedBytes",
      unit: "Bytes" as const,
    },
    help: "The other duplicates.",
  },
  {
    ...{ figure: "newBytes", prometheus: "run_new_bytes", emf: "NewBytes", unit: "Bytes" as const },
    help: "Chunks of data and of block maps that were new.",
  },
  {
    ...{ figure: "storedBytes", prometheus: "run_stored_bytes", emf: "StoredBytes", unit: "Bytes" as const },
    help: "Space of the new chunks in the repository.",
  },
  {
    ...{ figure: "problems", prometheus: "run_problems", emf: "Problems", unit: "Count" as const },
    help: "Problems that a verification found.",
  },
  {
    ...{ figure: "lostBytes", prometheus: "run_lost_bytes", emf: "LostBytes", unit: "Bytes" as const },
    help: "Bytes of volumes that cannot be restored, or that were restored as zeros.",
  },
  {
    ...{
      figure: "removedBytes",
      prometheus: "run_removed_bytes",
      emf: "RemovedBytes",
      unit: "Bytes" as const,
    },
    help: "Packs that a prune removed.",
  },
  {
    ...{
      figure: "rewrittenBytes",
      prometheus: "run_rewritten_bytes",
      emf: "RewrittenBytes",
      unit: "Bytes" as const,
    },
    help: "Packs that a prune rewrote.",
  },
  {
    ...{ figure: "keptBytes", prometheus: "run_kept_bytes", emf: "KeptBytes", unit: "Bytes" as const },
    help: "Packs that stay after a prune.",
  },
  {
    ...{ figure: "retries", prometheus: "run_retries", emf: "Retries", unit: "Count" as const },
    help: "Requests to S3 that were tried again.",
  },
] as const;

export function durationSeconds({ startedAt, endedAt }: RunRecord): number {
  return (endedAt.getTime() - startedAt.getTime()) / 1000;
}

/** Returns bytes per second; undefined for a run that reads no data or took no time. */
export function throughput(record: RunRecord): number | undefined {
  const seconds = durationSeconds(record);
  const { readBytes } = record.figures;
  return readBytes === undefined || seconds === 0 ? undefined : readBytes / seconds;
}

/** Collects the metrics of a run while it is in progress. */
export class RunMeter {
  readonly figures: RunRecord["figures"] = {};
  volumes: VolumeFigures[] = [];
  /** The error code of a run that completed with a problem. */
  problem: ErrorCode | undefined;
  private readonly startedAt = new Date();
  private watched: WatchedRun | undefined;
  private retries: (() => number) | undefined;

  constructor(
    private readonly command: MeteredCommand,
    private readonly instance?: string,
  ) {}

  /** Returns a watcher that passes everything on and keeps the run's counters. */
  watch(watcher: RunWatcher): RunWatcher {
    return {
      start: (run) => {
        this.watched = run;
        watcher.start(run);
      },
      stop: () => watcher.stop(),
      notice: (message) => watcher.notice(message),
    };
  }

  /** Counts retried requests to this repository from now on, in any thread. */
  countRetries(location: StorageLocation): void {
    if (location.kind !== "s3") return;
    const retries = RetryCount.attach(location.retries);
    const before = retries.count;
    this.retries = () => retries.count - before;
  }

  /** @param thrown the error that ended the run; undefined if there was none */
  end(thrown: unknown): RunRecord {
    return this.finish(thrown === undefined ? this.problem : asBlockferryError(thrown).code);
  }

  finish(errorCode: ErrorCode | undefined): RunRecord {
    return {
      ...{ command: this.command, instance: this.instance, volumes: this.volumes },
      ...{ startedAt: this.startedAt, endedAt: new Date() },
      errorCode,
      figures: { ...this.watchedFigures(), ...this.retryFigure(), ...this.figures },
    };
  }

  private retryFigure(): RunRecord["figures"] {
    return this.retries === undefined ? {} : { retries: this.retries() };
  }

  private watchedFigures(): RunRecord["figures"] {
    if (this.watched === undefined) return {};
    const { doneBytes: readBytes, ...stored } = this.watched.totals();
    const sourceBytes = this.watched.totalBytes;
    return this.command === "backup" ? { sourceBytes, readBytes, ...stored } : { sourceBytes, readBytes };
  }
}
