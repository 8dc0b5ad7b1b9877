import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";
import { type JobResult, readClaimedResult, readResult } from "../../repository/jobs/job-result.js";
import { type JobStatus, readStatus } from "../../repository/jobs/job-status.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";

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
