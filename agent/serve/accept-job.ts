import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type Job, parseJob, readJobText } from "../../repository/jobs/job.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type JobKey, proveJob } from "./prove-job.js";

/** Whether an agent on this worker has begun the job before. */
export type JobHistory = "new" | "begun";

/**
 * Reads a job and checks that it may be done, here and now. Who has written it is proven before it is parsed: what is forged is
 * told as such, however it looks. Its expiry bounds the beginning alone: one that an agent here has
 * begun is gone on with, however long it takes.
 * @throws JobRefused, JobOutdated; what `proveJob` and the storage throw
 */
export async function acceptJob(
  storage: Storage,
  id: string,
  expected: { worker: string; repository: string; history: JobHistory; key: JobKey | undefined },
): Promise<Job> {
  const text = await usable(id, () => readJobText(storage, id));
  await proveJob(text, { id, worker: expected.worker, repository: expected.repository }, expected.key);
  const job = await usable(id, () => parseJob(id, text));
  if (job.worker !== expected.worker) {
    throw refused(id, `It is for worker ${job.worker}, and this is ${expected.worker}.`);
  }
  if (job.repository !== expected.repository) {
    throw refused(id, `It is for repository ${job.repository}, and this is ${expected.repository}.`);
  }
  if (expected.history === "new" && Date.parse(job.expiresAt) <= Date.now()) throw outdated(job);
  return job;
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
