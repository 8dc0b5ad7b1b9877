import { asBlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";
import { RetryCount } from "../../repository/storage/s3/retry-count.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { RunWatcher, WatchedRun } from "../run-watcher.js";
import type { MeteredCommand, RunRecord, VolumeFigures } from "./run-record.js";

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
