import { BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { type JobResult, writeResult } from "../../repository/jobs/job-result.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import { openRepository, type Repository } from "../../repository/repository.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import { openControl } from "./control-storage.js";
import { Inbox } from "./inbox.js";
import { backoffMs, isPassing, pause } from "./patience.js";
import { type JobOptions, runJob } from "./run-job.js";

export interface ServeOptions extends Omit<JobOptions, "control"> {
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
  const { outcome, control, replies, close } = await runJob(repository, listed, options);
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
    options.log.warn(`${result.job} has a result already; that one holds.`, { job: result.job });
  }
}

/**
 * Retries with growing delays as long as the error is transient.
 * @throws the failure; Interrupted
 */
async function patiently<T>(
  { until, log, signal }: Pick<ServeOptions, "until" | "log" | "signal">,
  operation: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (error) {
      if (until === "no-job-is-left" || !isPassing(error)) throw error;
      const waitMs = backoffMs(failures);
      const { message, remedy, code } = error;
      log.warn(`${message} ${remedy} Trying again in ${(waitMs / 1000).toFixed(1)} s.`, { code });
      await pause(waitMs, signal);
      throwIfInterrupted(signal);
    }
  }
}
