import { listJobs } from "../repository/jobs/job-key.js";
import type { JobStatus } from "../repository/jobs/job-status.js";
import type { Storage } from "../repository/storage/storage.js";
import type { Signing } from "./signing.js";
import { hearStatus } from "./steps/hear-replies.js";

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
