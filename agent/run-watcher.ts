import type { CounterTotals } from "./counters.js";

/** A long operation as it can be watched. */
export interface WatchedRun {
  /** "Backing up", "Restoring", "Verifying". */
  label: string;
  totalBytes: number;
  totals(): CounterTotals;
}

/** Who is told how a run goes; the command line shows it, a service may log it. */
export interface RunWatcher {
  start(run: WatchedRun): void;
  stop(): void;
  /** Something that the user should know, and that is no failure. */
  notice(message: string): void;
}
