import { BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { pause, retry } from "../../foundation/retry.js";
import { readJobWorker } from "../../repository/jobs/job.js";
import { type ListedJob, listJobs } from "../../repository/jobs/job-key.js";
import { type JobResult, writeResult } from "../../repository/jobs/job-replies.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import { openRepository, type Repository } from "../../repository/open/repository.js";
import { undefinedIfAbsent } from "../../repository/storage/read-object.js";
import type { Storage, StorageLocation } from "../../repository/storage/storage.js";
import { backoffMs, mayRecover, openControl } from "./control-storage.js";
import { executeJob, type JobOptions } from "./run-job.js";
import type { ServiceLog } from "./service-log.js";

interface ServeOptions extends Omit<JobOptions, "control"> {
  pollIntervalMs: number;
  /** Whether to end when no job is left. */
  until: "stopped" | "no-job-is-left";
}

/** Number of finished jobs, and of the failed ones. */
export interface ServeReport {
  jobs: number;
  failed: number;
}

/**
 * Runs the jobs for this worker one by one until the signal fires.
 * It waits out an outage of the storage; with `no-job-is-left` an outage is an error.
 * @throws RepositoryNotFound and other errors that are not transient; Interrupted
 */
export async function serve(location: StorageLocation, options: ServeOptions): Promise<ServeReport> {
  const report: ServeReport = { jobs: 0, failed: 0 };
  const repository = await patiently(options, () => openRepository(location, options.signal));
  const control = await openControl(repository.location, options.signal);
  const inbox = new Inbox(control, options.worker, options.log);
  const signed = options.jobKey === undefined ? "" : `, signed with ${options.jobKey.arn}`;
  const replied = options.replyKey === undefined ? "" : `; replies are signed with ${options.replyKey.arn}`;
  options.log.info(`Waiting for jobs for ${options.worker} in ${control.name}${signed}${replied}`, {
    worker: options.worker,
    repository: repository.config.id,
  });
  for (;;) {
    throwIfInterrupted(options.signal);
    const isDone = await patiently(options, () => doNext(repository, inbox, { ...options, control }, report));
    if (isDone) continue;
    if (options.until === "no-job-is-left") return report;
    await pause(options.pollIntervalMs, options.signal);
  }
}

/** @returns whether there was a job */
async function doNext(
  repository: Repository,
  inbox: Inbox,
  options: JobOptions,
  report: ServeReport,
): Promise<boolean> {
  const { log, worker, signal } = options;
  const listed = await inbox.next();
  throwIfInterrupted(signal);
  if (listed === undefined) return false;
  const job = listed.id;
  log.info(`${job} begins`, { job });
  const { outcome, control, replies, close } = await executeJob(repository, listed, options);
  const result: JobResult = { version: 1, job, worker, finishedAt: new Date().toISOString(), outcome };
  await keepResult(result, replies, { ...options, control });
  close();
  report.jobs++;
  if (!outcome.ok) report.failed++;
  if (outcome.ok) log.info(`${job} is done: recovery point ${outcome.point}`, { job, point: outcome.point });
  else
    log.warn(`${job} failed: ${outcome.error.message} ${outcome.error.remedy}`, {
      job,
      code: outcome.error.code,
    });
  return true;
}

/** Writes the result with retries: losing it would mean running the whole job again. */
async function keepResult(result: JobResult, replies: Replies, options: JobOptions): Promise<void> {
  try {
    await patiently({ ...options, until: "stopped" }, () => writeResult(options.control, result, replies));
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code !== "ObjectExists") throw error;
    options.log.warn(`${result.job} already has a result, which stays.`, { job: result.job });
  }
}

/**
 * Retries with growing delays as long as the error is transient.
 * @throws the failure; Interrupted
 */
function patiently<T>(
  { until, log, signal }: Pick<ServeOptions, "until" | "log" | "signal">,
  operation: () => Promise<T>,
): Promise<T> {
  const delayMs = (error: unknown, failures: number) => {
    if (until === "no-job-is-left" || !mayRecover(error)) return undefined;
    const waitMs = backoffMs(failures);
    const { message, remedy, code } = error;
    log.warn(`${message} ${remedy} Trying again in ${(waitMs / 1000).toFixed(1)} s.`, { code });
    return waitMs;
  };
  return retry(operation, { delayMs, signal });
}

/** The jobs that wait for one worker. */
class Inbox {
  /** Jobs of other workers, which need not be read on every poll. */
  private readonly foreign = new Set<string>();

  constructor(
    private readonly storage: Storage,
    private readonly worker: string,
    private readonly log: ServiceLog,
  ) {}

  /** Returns the oldest job for this worker without a result, even if an agent that died has started it. */
  async next(): Promise<ListedJob | undefined> {
    for (const job of await listJobs(this.storage)) {
      const isOpen = job.objects.has("job") && !job.objects.has("result");
      if (isOpen && !this.foreign.has(job.id) && (await this.isMine(job.id))) return job;
    }
    return undefined;
  }

  private async isMine(id: string): Promise<boolean> {
    const found = await undefinedIfAbsent(async () => ({ worker: await readJobWorker(this.storage, id) }));
    if (found === undefined) return false;
    if (found.worker === this.worker) return true;
    this.foreign.add(id);
    if (found.worker === undefined) {
      this.log.warn(`${id} is left alone: its job.json is too damaged to show which worker it is for.`, {
        job: id,
      });
    }
    return false;
  }
}
