import {
  asBlockferryError,
  BlockferryError,
  type ErrorCode,
  throwIfInterrupted,
} from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import {
  isCancelled,
  type JobStarts,
  type JobStatus,
  readStatus,
  writeStatus,
} from "../../repository/jobs/job-replies.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { CounterTotals, RunWatcher, WatchedRun } from "../threads/shared-memory.js";
import type { ServiceLog } from "./service-log.js";

/**
 * After this many starts without progress, the job is given up. It would kill every agent and block the jobs
 * behind it.
 */
const MAX_STARTS = 3;
const NO_STARTS: JobStarts = { count: 0, furthestBytes: 0 };
/** Errors of a heartbeat that no agent has written, or that was changed. */
const NOT_OURS: ReadonlySet<ErrorCode> = new Set([
  ...([
    "ObjectCorrupt",
    "RepositoryUnsupported",
    "JobUnsigned",
    "JobSignatureInvalid",
    "JobRefused",
  ] as const),
]);
/** A service has 2.5 s to stop. */
const LEAVE_MS = 1000;
/** Why a heartbeat ends when the job has no outcome yet. */
const LEFT = Symbol("the job is left to the agent that takes it up");

interface HeartbeatOptions {
  storage: Storage;
  job: string;
  worker: string;
  /** Signs the heartbeats. */
  replies: Replies;
  intervalMs: number;
  progress: JobProgress;
  log: ServiceLog;
  /** Called when the job is cancelled. */
  onCancel(): void;
  /** Stops the service and leaves the job. */
  signal: AbortSignal;
}

/**
 * Reports periodically that the agent is alive, and checks for cancellation.
 * Heartbeats also have the progress of the job. A failed heartbeat is only logged: the backup has its own
 * threads and connections, and may well continue.
 */
export class Heartbeat {
  private readonly ending = new AbortController();
  private readonly storage: Storage;
  /** The last reported state; undefined until the heartbeats of earlier agents have been read. */
  private lastStatus: { sequence: number; starts: JobStarts } | undefined;
  private beating: Promise<void> = Promise.resolve();

  constructor(private readonly options: HeartbeatOptions) {
    this.storage = options.storage.until(this.ending.signal);
  }

  /**
   * Records the start of the job before any work.
   * This keeps a job that kills its agent from being restarted forever.
   * @throws JobGivenUp, Interrupted
   */
  async begin(): Promise<void> {
    const { job, signal } = this.options;
    throwIfInterrupted(signal);
    signal.addEventListener("abort", this.leave, { once: true });
    await this.tell();
    this.beating = this.beat();
    if (this.lastStatus !== undefined && this.lastStatus.starts.count > MAX_STARTS)
      throw givenUp(job, this.lastStatus.starts);
  }

  /**
   * Stops the heartbeat of a job that has its outcome or was left. Returns when no heartbeat is in progress.
   */
  async end(): Promise<void> {
    this.options.signal.removeEventListener("abort", this.leave);
    this.ending.abort();
    await this.beating;
  }

  /** Stops the heartbeat of a job that will be resumed. The agent is alive, so this start did not kill it. */
  readonly leave = async (): Promise<void> => {
    this.ending.abort(LEFT);
    await this.end();
  };

  private async beat(): Promise<void> {
    const { signal } = this.ending;
    for (;;) {
      await pause(this.options.intervalMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      await this.tell();
    }
    if (signal.reason === LEFT) await this.takeBack();
  }

  private async tell(): Promise<void> {
    const { job, progress, log, onCancel } = this.options;
    try {
      this.lastStatus ??= await this.previousStarts();
      this.lastStatus.sequence++;
      const { doneBytes } = progress.figures;
      if (doneBytes > this.lastStatus.starts.furthestBytes) {
        this.lastStatus.starts = { count: 0, furthestBytes: doneBytes };
      }
      await this.write(this.storage, this.lastStatus);
      if (await isCancelled(this.storage, job)) onCancel();
    } catch (thrown) {
      if (this.ending.signal.aborted) return;
      const { message, code } = asBlockferryError(thrown);
      log.warn(`A heartbeat failed; the job continues. ${message}`, { job, code });
    }
  }

  /** Continues after the heartbeat of a killed agent, because a controller waits for a higher number. */
  private async previousStarts() {
    const last = await this.last();
    const { count, furthestBytes } = last?.starts ?? NO_STARTS;
    return { sequence: last?.sequence ?? 0, starts: { count: count + 1, furthestBytes } };
  }

  private async last(): Promise<JobStatus | undefined> {
    const { job, replies, log } = this.options;
    try {
      return await readStatus(this.storage, job, replies);
    } catch (thrown) {
      const { code, message } = asBlockferryError(thrown);
      if (!NOT_OURS.has(code)) throw thrown;
      log.warn(`The last heartbeat cannot be used, so starts are counted from zero. ${message}`, {
        job,
        code,
      });
      return undefined;
    }
  }

  /** Takes the start back. If that fails, it counts as one that killed the agent; more are allowed. */
  private async takeBack(): Promise<void> {
    if (this.lastStatus === undefined || this.lastStatus.starts.count === 0) return;
    const { sequence, starts } = this.lastStatus;
    const storage = this.options.storage.until(AbortSignal.timeout(LEAVE_MS));
    const lastStatus = { sequence: sequence + 1, starts: { ...starts, count: starts.count - 1 } };
    await this.write(storage, lastStatus).catch(() => undefined);
  }

  private async write(storage: Storage, lastStatus: Pick<JobStatus, "sequence" | "starts">): Promise<void> {
    const { job, worker, progress, replies } = this.options;
    const updatedAt = new Date().toISOString();
    const status = { version: 1, job, worker, updatedAt, ...lastStatus, ...progress.figures } as const;
    await writeStatus(storage, status, replies);
  }
}

function givenUp(job: string, { count, furthestBytes }: JobStarts): BlockferryError {
  const starts = `the agent was killed in each of its last ${count - 1} starts`;
  return new BlockferryError({
    code: "JobGivenUp",
    message: `${job} is given up: ${starts}, none further than byte ${furthestBytes} of its volumes.`,
    remedy:
      "Look for the cause on the worker (journalctl -u blockferry-agent, dmesg): most often it has too little memory. Give it more memory, or start a new job with fewer --threads.",
    object: job,
  });
}

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
