import type { JobStatus } from "../../repository/jobs/job-status.js";
import type { CounterTotals } from "../counters.js";
import type { RunWatcher, WatchedRun } from "../run-watcher.js";

const NOTHING_YET: CounterTotals = {
  doneBytes: 0,
  zeroBytes: 0,
  duplicateBytes: 0,
  newBytes: 0,
  storedBytes: 0,
};

/** The progress of a job, which its heartbeats report. */
export class JobProgress implements RunWatcher {
  private state: JobStatus["state"] = "preparing";
  private run: WatchedRun | undefined;

  constructor(readonly notice: (message: string) => void) {}

  start(run: WatchedRun): void {
    this.run = run;
    this.state = "running";
  }

  stop(): void {
    this.state = "finishing";
  }

  get figures() {
    const { run, state } = this;
    return { state, totalBytes: run?.totalBytes ?? 0, ...(run?.totals() ?? NOTHING_YET) };
  }
}
