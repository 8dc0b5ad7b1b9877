import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { KmsKey } from "../../repository/encryption/mac-key.js";
import { type Job, parseJob, readJobText } from "../../repository/jobs/job.js";
import type { JobPlace } from "../../repository/jobs/job-signature.js";
import type { Storage } from "../../repository/storage/storage.js";
import { proveJob } from "./prove-job.js";

/** Whether an agent on this worker has started the job before. */
export type JobHistory = "new" | "begun";

/**
 * Reads a job from the repository; nothing of it is proven yet.
 * @throws JobRefused; storage errors
 */
export function readUnprovenJob(storage: Storage, id: string): Promise<string> {
  return usable(id, () => readJobText(storage, id));
}

/**
 * Checks that a job may run here and now.
 * Its author is proven before it is parsed, so that a forged job is reported as forged, whatever its form.
 * The expiry limits only the start: a job that an agent here has started continues, however long it takes.
 * @throws JobRefused, JobOutdated; the errors of `proveJob` and the storage
 */
export async function acceptJob(
  text: string,
  place: JobPlace,
  expected: { key: KmsKey | undefined; history: () => Promise<JobHistory> },
): Promise<{ job: Job; history: JobHistory }> {
  const { id } = place;
  await proveJob(text, place, expected.key);
  const job = await usable(id, () => parseJob(id, text));
  if (job.worker !== place.worker) {
    throw refused(id, `It is for worker ${job.worker}, and this is ${place.worker}.`);
  }
  if (job.repository !== place.repository) {
    throw refused(id, `It is for repository ${job.repository}, and this is ${place.repository}.`);
  }
  const history = await expected.history();
  if (history === "new" && Date.parse(job.expiresAt) <= Date.now()) throw outdated(job);
  return { job, history };
}

async function usable<T>(id: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw isUnusable(error) ? refused(id, error.message, error) : error;
  }
}

function isUnusable(error: unknown): error is BlockferryError {
  return (
    error instanceof BlockferryError &&
    (error.code === "ObjectCorrupt" || error.code === "RepositoryUnsupported")
  );
}

function refused(id: string, reason: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "JobRefused",
      message: `${id} is not done: ${reason}`,
      remedy: "Start a new job, with the same version of blockferry on both sides.",
      object: id,
    },
    cause,
  );
}

function outdated({ id, expiresAt }: Job): BlockferryError {
  return new BlockferryError({
    code: "JobOutdated",
    message: `${id} was to be begun by ${expiresAt}; it is ${new Date().toISOString()} now.`,
    remedy: "Start a new job. If this one is new, set the clocks: the worker's or the controller's is wrong.",
    object: id,
  });
}
