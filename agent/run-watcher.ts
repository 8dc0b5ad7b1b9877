import type { CounterTotals } from "./counters.js";

/** A long operation that can be watched. */
export interface WatchedRun {
  /** "Backing up", "Restoring", "Verifying". */
  label: string;
  totalBytes: number;
  totals(): CounterTotals;
}

/** Receives the progress of a run: the command line shows it, a service may log it. */
export interface RunWatcher {
  start(run: WatchedRun): void;
  stop(): void;
  /** Reports something that the user should know but that is not a failure. */
  notice(message: string): void;
}
