import { listJobs } from "../repository/jobs/job-key.js";
import { type JobStatus, readStatus } from "../repository/jobs/job-status.js";
import type { Storage } from "../repository/storage/storage.js";

/** The jobs that an agent has under way besides one of ours: it does one at a time, so ours waits for them. */
export class WorkerQueue {
  /** Jobs of other workers: no need to read them at every look. */
  private readonly foreign = new Set<string>();
  private readonly sequences = new Map<string, number>();
  private lookedAt = Number.NEGATIVE_INFINITY;

  /** @param job ours @param intervalMs between two looks, each of which lists all jobs */
  constructor(
    private readonly storage: Storage,
    private readonly worker: string,
    private readonly job: string,
    private readonly intervalMs: number,
  ) {}

  /** Heartbeats of the worker's other jobs, by what the agent has written last. */
  async statuses(): Promise<JobStatus[]> {
    const found: JobStatus[] = [];
    for (const { id, objects } of await listJobs(this.storage)) {
      const isOpen = objects.has("status") && !objects.has("result");
      if (!isOpen || id === this.job || this.foreign.has(id)) continue;
      // That another job's heartbeat cannot be read is no failure of ours.
      const status = await readStatus(this.storage, id).catch(() => undefined);
      if (status === undefined) continue;
      if (status.worker === this.worker) found.push(status);
      else this.foreign.add(id);
    }
    return found;
  }

  /**
   * Looks from time to time which job the agent is at. It is told by a heartbeat that has grown since the last look, and not by
   * anybody's clock: a job that was given up stays open with its last one.
   * @returns undefined when nothing is known to be under way, or it was not time for a look
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
 * The job that a worker seems to be at right now, for whoever looks only once. Clocks decide, so it is good for a note alone.
 * @param withinMs how old its last heartbeat may be
 */
export async function jobUnderWay(
  storage: Storage,
  worker: string,
  job: string,
  withinMs: number,
): Promise<JobStatus | undefined> {
  const statuses = await new WorkerQueue(storage, worker, job, 0).statuses();
  return statuses.find(({ updatedAt }) => Math.abs(Date.now() - Date.parse(updatedAt)) < withinMs);
}
