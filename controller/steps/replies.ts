import { BlockferryError, type ErrorCode } from "../../foundation/errors.js";
import { listJobs } from "../../repository/jobs/job-key.js";
import {
  type JobResult,
  type JobStatus,
  readClaimedResult,
  readResult,
  readStatus,
} from "../../repository/jobs/job-replies.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { Signing } from "../plan/signing.js";

/** Errors that show that a reply is not the agent's, or was changed after the agent wrote it. */
const UNPROVEN: ReadonlySet<ErrorCode> = new Set([
  "JobUnsigned",
  "JobSignatureInvalid",
  "JobRefused",
  "ObjectCorrupt",
]);

function unproven(error: unknown): BlockferryError {
  if (error instanceof BlockferryError && UNPROVEN.has(error.code)) return error;
  throw error;
}

/**
 * Reads the heartbeat of a job.
 * A heartbeat that is not verified counts as missing. When only forged heartbeats arrive, the agent is
 * declared lost after the timeout; its true heartbeat replaces a forged one within seconds.
 * @returns `problem` when a heartbeat exists but could not be verified
 */
export async function hearStatus(
  storage: Storage,
  job: string,
  replies: Replies,
): Promise<{ status?: JobStatus | undefined; problem?: BlockferryError }> {
  try {
    return { status: await readStatus(storage, job, replies) };
  } catch (error) {
    return { problem: unproven(error) };
  }
}

/**
 * Reads the result of a job, on the way forward.
 * @throws the errors of `readResult`: the agent cannot replace a result that is not its own
 */
export async function hearResult(
  storage: Storage,
  job: string,
  replies: Replies,
): Promise<JobResult | undefined> {
  try {
    return await readResult(storage, job, replies);
  } catch (error) {
    throw withClaim(unproven(error), await readClaimedResult(storage, job));
  }
}

/**
 * Reads the result of a job, on the way back.
 * Only a verified result proves that the agent has released the volumes, so an unverified one counts as
 * missing.
 */
export async function hearProvenResult(
  storage: Storage,
  job: string,
  replies: Replies,
): Promise<JobResult | undefined> {
  try {
    return await readResult(storage, job, replies);
  } catch (error) {
    unproven(error);
    return undefined;
  }
}

/**
 * Adds the claimed failure of an unverified result to the error.
 * An agent with no reply key, or with another one, cannot sign the reason why it refuses the job.
 */
function withClaim(error: BlockferryError, claimed: JobResult | undefined): BlockferryError {
  if (claimed?.outcome.ok !== false) return error;
  const { code, message, remedy } = claimed.outcome.error;
  const { object, ...record } = error.toRecord();
  return new BlockferryError(
    {
      ...record,
      ...(object === undefined ? {} : { object }),
      message: `${error.message} It claims that the job failed with ${code}: ${message}`,
      remedy: `${error.remedy} If the claim is true: ${remedy}`,
    },
    error,
  );
}

/**
 * Decides whether the agent is alive.
 * It compares the sequence numbers of heartbeats, and never the clocks of two machines.
 */
export class HeartbeatWatch {
  private sequence = -1;
  private deadline: number;
  private readonly samples: { at: number; bytes: number }[] = [];

  constructor(
    private readonly firstMs: number,
    private readonly nextMs: number,
  ) {
    this.deadline = performance.now() + firstMs;
  }

  /**
   * Records the sequence number of a heartbeat.
   * @param tookMs duration of the read, which does not count: no agent can be heard while the storage is down
   */
  hear(sequence: number | undefined, tookMs: number): void {
    this.deadline += tookMs;
    if (sequence === undefined || sequence <= this.sequence) return;
    this.sequence = sequence;
    this.deadline = performance.now() + this.nextMs;
  }

  /** Records a heartbeat of another job, which gives the agent the full start time again to find ours. */
  hearOther(): void {
    this.deadline = Math.max(this.deadline, performance.now() + this.firstMs);
  }

  isLost(): boolean {
    return performance.now() > this.deadline;
  }

  hasStarted(): boolean {
    return this.sequence >= 0;
  }

  /** Returns bytes per second over the last samples. */
  rate(bytes: number): number {
    this.samples.push({ at: performance.now(), bytes });
    if (this.samples.length > 10) this.samples.shift();
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || first === last) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}

/** The other jobs of an agent. An agent runs one job at a time, so our job waits for them. */
export class WorkerQueue {
  /** Jobs of other workers, which are not read again at every poll. */
  private readonly foreign = new Set<string>();
  private readonly sequences = new Map<string, number>();
  private lookedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param job id of our job
   * @param intervalMs between two polls, each of which lists all jobs
   */
  constructor(
    private readonly storage: Storage,
    private readonly worker: string,
    private readonly job: string,
    private readonly signing: Signing,
    private readonly intervalMs: number,
  ) {}

  /**
   * Returns the last heartbeats of the worker's other open jobs.
   * With a reply key only heartbeats that the agent signed are returned.
   */
  async statuses(): Promise<JobStatus[]> {
    const found: JobStatus[] = [];
    for (const { id, objects } of await listJobs(this.storage)) {
      const isOpen = objects.has("status") && !objects.has("result");
      if (!isOpen || id === this.job || this.foreign.has(id)) continue;
      // An unreadable heartbeat of another job does not fail ours.
      const replies = await this.signing.replies(id, this.worker);
      const { status } = await hearStatus(this.storage, id, replies).catch(() => ({ status: undefined }));
      if (status === undefined) continue;
      if (status.worker === this.worker) found.push(status);
      else this.foreign.add(id);
    }
    return found;
  }

  /**
   * Returns the job that the agent is running, polling at most once per interval.
   * The running job is the one whose heartbeat has advanced since the last poll. No clock is involved: an
   * abandoned job stays open with its last heartbeat.
   * @returns undefined when no job is known to run, or when the interval has not passed yet
   */
  async running(): Promise<JobStatus | undefined> {
    if (performance.now() - this.lookedAt < this.intervalMs) return undefined;
    const statuses = await this.statuses();
    this.lookedAt = performance.now();
    const grown = statuses.find(({ job, sequence }) => sequence > (this.sequences.get(job) ?? sequence));
    for (const { job, sequence } of statuses) this.sequences.set(job, sequence);
    return grown;
  }
}

/**
 * Returns the job that a worker seems to be running, from a single poll.
 * It compares clocks of two machines, so the result is good only for a note.
 * @param withinMs maximum age of the job's last heartbeat
 */
export async function jobUnderWay(
  storage: Storage,
  worker: string,
  job: string,
  signing: Signing,
  withinMs: number,
): Promise<JobStatus | undefined> {
  const statuses = await new WorkerQueue(storage, worker, job, signing, 0).statuses();
  return statuses.find(({ updatedAt }) => Math.abs(Date.now() - Date.parse(updatedAt)) < withinMs);
}
