import { BlockferryError } from "../../foundation/errors.js";
import {
  type KmsMacKey,
  type Signature,
  signatureOf,
  verifyMacs,
  withoutSignature,
} from "../../repository/encryption/mac-key.js";
import {
  type Job,
  type JobPlace,
  jobMessage,
  oldJobMessage,
  parseJob,
  readJobText,
} from "../../repository/jobs/job.js";
import type { Storage } from "../../repository/storage/storage.js";

/** Whether an agent on this worker has started the job before. */
export type JobHistory = "new" | "started";

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
  expected: { key: KmsMacKey | undefined; history: () => Promise<JobHistory> },
): Promise<{ job: Job; history: JobHistory }> {
  const { id } = place;
  await proveJob(text, place, expected.key);
  const job = await usable(id, () => parseJob(id, text));
  if (job.worker !== place.worker) {
    throw refused(id, `It is for worker ${job.worker}, but this is ${place.worker}.`);
  }
  if (job.repository !== place.repository) {
    throw refused(id, `It is for repository ${job.repository}, but this is ${place.repository}.`);
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
      message: `${id} is refused: ${reason}`,
      remedy: "Start a new job, with the same version of blockferry on both sides.",
      object: id,
    },
    cause,
  );
}

function outdated({ id, expiresAt }: Job): BlockferryError {
  return new BlockferryError({
    code: "JobOutdated",
    message: `${id} had to be started by ${expiresAt}; it is now ${new Date().toISOString()}.`,
    remedy: "Start a new job. If this one is new, set the clocks: the worker's or the controller's is wrong.",
    object: id,
  });
}

/**
 * Proves that an authorized controller has signed the job for this place.
 * The signature covers every byte of the job, its id, this worker and this repository. Without a key nothing
 * can be proven, and a signed job is refused: a controller that signs expects agents to refuse forged jobs,
 * and must learn that this agent would not.
 * @param text text of the job, of which only the signature is parsed
 * @throws JobUnsigned, JobSignatureInvalid, JobRefused; CredentialsInvalid, AwsUnavailable, which may be
 * transient; Interrupted
 */
async function proveJob(text: string, place: JobPlace, key: KmsMacKey | undefined): Promise<void> {
  const signature = signatureOf(text);
  if (key === undefined) {
    if (signature !== undefined) throw cannotVerify(place);
    return;
  }
  if (signature === undefined) throw unsigned(place, key);
  const signed = withoutSignature(text);
  if (await isValid(signature, jobMessage(place, signed), place, key)) return;
  if (await isValid(signature, oldJobMessage(place, signed), place, key)) throw ofOldController(place, key);
  throw invalid(place, signature, key);
}

/** Asks KMS about the agent's own key, whichever key the job names. */
async function isValid(
  { mac }: Signature,
  message: Buffer,
  place: JobPlace,
  key: KmsMacKey,
): Promise<boolean> {
  try {
    const [isOfKey = false] = await verifyMacs(key, [{ message, mac }]);
    return isOfKey;
  } catch (error) {
    // If it waited, the controller would consider the worker dead and could not report which right is
    // missing.
    if (error instanceof BlockferryError && error.code === "KeyNotUsable")
      throw jobKeyNotUsable(place, "its signature cannot be verified", error);
    throw error;
  }
}

function unsigned({ id }: JobPlace, { arn }: KmsMacKey): BlockferryError {
  return new BlockferryError({
    code: "JobUnsigned",
    message: `${id} is refused: it is not signed, and this agent accepts only jobs that are signed with ${arn}.`,
    remedy: `Start the job with --job-key ${arn}. If no one of your team started it, find out who writes to jobs/ in the repository.`,
    object: id,
  });
}

function invalid({ id }: JobPlace, { keyArn }: Signature, { arn }: KmsMacKey): BlockferryError {
  return new BlockferryError({
    code: "JobSignatureInvalid",
    message: `${id} is refused: its signature was not made with ${arn} for this job, worker and repository as this agent has opened it. It claims to be made with ${keyArn}.`,
    remedy: `Start a new job with --job-key ${arn}. If it was started with that key, it was changed or copied: find out who writes to jobs/ in the repository.`,
    object: id,
  });
}

function ofOldController({ id }: JobPlace, { arn }: KmsMacKey): BlockferryError {
  return new BlockferryError({
    code: "JobSignatureInvalid",
    message: `${id} is refused: it is signed with ${arn} in the form of older versions of blockferry, which does not cover how the repository is encrypted.`,
    remedy: "Update the controller to the version of this agent, and start a new job.",
    object: id,
  });
}

function cannotVerify({ id }: JobPlace): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} is refused: it is signed, but this agent has no key to verify the signature, so it would also accept forged jobs.`,
    remedy:
      "Start the agent with the job key of your controller (--job-key, or BLOCKFERRY_JOB_KEY in its environment, which is where a worker's image has it), or start the job without one.",
    object: id,
  });
}

/**
 * Returns the refusal of a job because this agent may not use a key. Waiting would hide which right is
 * missing.
 */
export function jobKeyNotUsable({ id }: JobPlace, reason: string, cause: BlockferryError): BlockferryError {
  return new BlockferryError(
    {
      code: "JobRefused",
      message: `${id} is refused: ${reason}. ${cause.message}`,
      remedy: cause.remedy,
      object: cause.object,
    },
    cause,
  );
}
