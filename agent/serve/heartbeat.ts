import { asBlockferryError, BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { isCancelled } from "../../repository/jobs/cancel.js";
import { type JobStarts, type JobStatus, readStatus, writeStatus } from "../../repository/jobs/job-status.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JobProgress } from "./job-progress.js";
import { pause } from "./patience.js";
import type { ServiceLog } from "./service-log.js";

/** After so many without progress, whatever has ended the agent would end it for ever, and the jobs behind would wait as long. */
const MAX_STARTS = 3;
const NO_STARTS: JobStarts = { count: 0, furthestBytes: 0 };
/** A service that is told to end is given 2.5 s. */
const LEAVE_MS = 1000;
/** Why a heartbeat ends where the job has no outcome yet. */
const LEFT = Symbol("the job is left to whoever takes it up");

export interface HeartbeatOptions {
  storage: Storage;
  job: string;
  worker: string;
  intervalMs: number;
  progress: JobProgress;
  log: ServiceLog;
  /** Called when somebody asked for the job's end. */
  onCancel(): void;
  /** Ends the service, and the job is left. */
  signal: AbortSignal;
}

/**
 * Tells the controller again and again that the agent lives and how far it is, and looks whether the job is cancelled. A
 * heartbeat that fails is logged and no more: the backup has threads and connections of its own, and may well go on.
 */
export class Heartbeat {
  private readonly ending = new AbortController();
  private readonly storage: Storage;
  /** What was told last; undefined until it is known what agents before have told. */
  private told: { sequence: number; starts: JobStarts } | undefined;
  private beating: Promise<void> = Promise.resolve();

  constructor(private readonly options: HeartbeatOptions) {
    this.storage = options.storage.until(this.ending.signal);
  }

  /**
   * Notes the start of the job before anything is done for it, so that one that kills its agent is not begun for ever.
   * @throws JobGivenUp, Interrupted
   */
  async begin(): Promise<void> {
    const { job, signal } = this.options;
    throwIfInterrupted(signal);
    signal.addEventListener("abort", this.leave, { once: true });
    await this.tell();
    this.beating = this.beat();
    if (this.told !== undefined && this.told.starts.count > MAX_STARTS) throw givenUp(job, this.told.starts);
  }

  /** Ends it for a job that has its outcome, or was left. Returns when no heartbeat is under way any more. */
  async end(): Promise<void> {
    this.options.signal.removeEventListener("abort", this.leave);
    this.ending.abort();
    await this.beating;
  }

  /** Ends it for a job that is to be taken up again. The agent lives, so this start is none that has killed it. */
  readonly leave = async (): Promise<void> => {
    this.ending.abort(LEFT);
    await this.end();
  };

  private async beat(): Promise<void> {
    const { signal } = this.ending;
    for (;;) {
      await pause(this.options.intervalMs, signal);
      if (signal.aborted) break;
      await this.tell();
    }
    if (signal.reason === LEFT) await this.takeBack();
  }

  private async tell(): Promise<void> {
    const { job, progress, log, onCancel } = this.options;
    try {
      this.told ??= await this.begun();
      this.told.sequence++;
      const { doneBytes } = progress.figures;
      if (doneBytes > this.told.starts.furthestBytes) {
        this.told.starts = { count: 0, furthestBytes: doneBytes };
      }
      await this.write(this.storage, this.told);
      if (await isCancelled(this.storage, job)) onCancel();
    } catch (thrown) {
      if (this.ending.signal.aborted) return;
      const { message, code } = asBlockferryError(thrown);
      log.warn(`A heartbeat failed; the job goes on. ${message}`, { job, code });
    }
  }

  /** An agent that was killed has left its heartbeat; a controller waits for a higher number. */
  private async begun() {
    const last = await this.last();
    const { count, furthestBytes } = last?.starts ?? NO_STARTS;
    return { sequence: last?.sequence ?? 0, starts: { count: count + 1, furthestBytes } };
  }

  private async last(): Promise<JobStatus | undefined> {
    const { job, log } = this.options;
    try {
      return await readStatus(this.storage, job);
    } catch (thrown) {
      const { code, message } = asBlockferryError(thrown);
      if (code !== "ObjectCorrupt" && code !== "RepositoryUnsupported") throw thrown;
      log.warn(`The last heartbeat cannot be read, counting anew. ${message}`, { job, code });
      return undefined;
    }
  }

  /** Where it fails, the start counts as one that was killed: there are others. */
  private async takeBack(): Promise<void> {
    if (this.told === undefined || this.told.starts.count === 0) return;
    const { sequence, starts } = this.told;
    const storage = this.options.storage.until(AbortSignal.timeout(LEAVE_MS));
    const told = { sequence: sequence + 1, starts: { ...starts, count: starts.count - 1 } };
    await this.write(storage, told).catch(() => undefined);
  }

  private async write(storage: Storage, told: Pick<JobStatus, "sequence" | "starts">): Promise<void> {
    const { job, worker, progress } = this.options;
    const updatedAt = new Date().toISOString();
    await writeStatus(storage, { version: 1, job, worker, updatedAt, ...told, ...progress.figures });
  }
}

function givenUp(job: string, { count, furthestBytes }: JobStarts): BlockferryError {
  const starts = `the last ${count - 1} starts of it ended with the agent killed`;
  return new BlockferryError({
    code: "JobGivenUp",
    message: `${job} is given up: ${starts}, none further than byte ${furthestBytes} of its volumes.`,
    remedy:
      "Look on the worker why (journalctl -u blockferry-agent, dmesg): most often it has too little memory. Give it more, or the job fewer --threads, and start a new one.",
    object: job,
  });
}
