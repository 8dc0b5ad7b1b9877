import { BlockferryError } from "../../foundation/blockferry-error.js";
import { askKms, type KmsCaller } from "../../repository/encryption/ask-kms.js";
import {
  type JobPlace,
  type JobSignature,
  jobMessage,
  MAC_ALGORITHM,
  signatureOf,
  withoutSignature,
} from "../../repository/jobs/job-signature.js";

/** The key that jobs must be signed with, and who asks KMS about it. */
export interface JobKey extends KmsCaller {
  /** ARN of the key itself. */
  arn: string;
}

/**
 * Proves that a controller with the right to sign has written the job, as it is, for this place: every word of it, this id, this
 * worker, this repository. Without a key nothing can be proven, and a job that was signed is not done either: whoever signs
 * relies on it that forged jobs are refused, and must hear that this agent would do them.
 * @param text of the job, of which nothing but the signature is looked at
 * @throws JobUnsigned, JobSignatureInvalid, JobRefused; CredentialsInvalid, AwsUnavailable, which may pass; Interrupted
 */
export async function proveJob(text: string, place: JobPlace, key: JobKey | undefined): Promise<void> {
  const signature = signatureOf(text);
  if (key === undefined) {
    if (signature !== undefined) throw cannotVerify(place);
    return;
  }
  if (signature === undefined) throw unsigned(place, key);
  if (!(await isValid(signature, jobMessage(place, withoutSignature(text)), place, key))) {
    throw invalid(place, signature, key);
  }
}

/** Whatever key the job names, it is the agent's own that KMS is asked about. */
async function isValid(
  { mac }: JobSignature,
  message: Buffer,
  place: JobPlace,
  { arn, ...caller }: JobKey,
): Promise<boolean> {
  try {
    return await askKms("kms:VerifyMac", arn, caller, async (client, sdk, options) => {
      const command = new sdk.VerifyMacCommand({
        ...{ KeyId: arn, Message: message, MacAlgorithm: MAC_ALGORITHM },
        Mac: Buffer.from(mac, "base64"),
      });
      const { MacValid } = await client.send(command, options).catch(orInvalid);
      return MacValid === true;
    });
  } catch (error) {
    // Waiting would let the controller take the worker for dead, and not tell anybody which right is missing.
    if (error instanceof BlockferryError && error.code === "KeyNotUsable") throw notAllowed(place, error);
    throw error;
  }
}

function orInvalid(error: unknown): { MacValid: false } {
  if (error instanceof Error && error.name === "KMSInvalidMacException") return { MacValid: false };
  throw error;
}

function unsigned({ id }: JobPlace, { arn }: JobKey): BlockferryError {
  return new BlockferryError({
    code: "JobUnsigned",
    message: `${id} is not done: it is not signed, and this agent does only what is signed with ${arn}.`,
    remedy: `Start the job with --job-key ${arn}. If nobody of yours has started it, find out who writes to jobs/ in the repository.`,
    object: id,
  });
}

function invalid({ id }: JobPlace, { keyArn }: JobSignature, { arn }: JobKey): BlockferryError {
  return new BlockferryError({
    code: "JobSignatureInvalid",
    message: `${id} is not done: its signature is not one of ${arn} for this job, worker and repository. It says that it was made with ${keyArn}.`,
    remedy: `Start a new job with --job-key ${arn}. If it was started so, it was changed or copied: find out who writes to jobs/ in the repository.`,
    object: id,
  });
}

function cannotVerify({ id }: JobPlace): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} is not done: it is signed, and this agent has no key to verify that with, so it would do forged jobs as well.`,
    remedy:
      "Start the agent with the job key of your controller (--job-key, or BLOCKFERRY_JOB_KEY in its environment, which is where a worker's image has it), or the job without.",
    object: id,
  });
}

function notAllowed({ id }: JobPlace, cause: BlockferryError): BlockferryError {
  return new BlockferryError(
    {
      code: "JobRefused",
      message: `${id} is not done: its signature cannot be verified. ${cause.message}`,
      remedy: cause.remedy,
      object: cause.object,
    },
    cause,
  );
}
