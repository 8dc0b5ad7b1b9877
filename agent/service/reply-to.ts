import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { type KmsMacKey, macKeyOf } from "../../repository/encryption/mac-key.js";
import type { JobPlace } from "../../repository/jobs/job.js";
import type { ListedJob } from "../../repository/jobs/job-key.js";
import { readStatus } from "../../repository/jobs/job-replies.js";
import { DocumentKey, Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type JobHistory, jobKeyNotUsable } from "./accept-job.js";

const NamedKeySchema = z.object({ replyKey: z.string() });

/**
 * Returns the signer for replies to a job.
 * It uses the service's own reply key if the job names that key, and signs nothing otherwise. The job need
 * not be proven for this: the refusal of a forged job is also this agent's statement.
 * @param text text of the job
 * @throws JobRefused if the key may not be used; CredentialsInvalid, AwsUnavailable, which may be transient;
 * Interrupted
 */
export async function repliesTo(text: string, place: JobPlace, key: KmsMacKey | undefined): Promise<Replies> {
  if (key === undefined || replyKeyIn(text) !== key.arn) return new Replies(undefined, place);
  try {
    return new Replies(await DocumentKey.forReplies(macKeyOf(key), place), place);
  } catch (error) {
    // If it waited, the controller would consider the worker dead and could not report which right is
    // missing.
    if (error instanceof BlockferryError && error.code === "KeyNotUsable")
      throw jobKeyNotUsable(place, "its replies cannot be signed", error);
    throw error;
  }
}

function replyKeyIn(text: string): string | undefined {
  try {
    return NamedKeySchema.parse(JSON.parse(text)).replyKey;
  } catch {
    return undefined;
  }
}

/**
 * Refuses a job whose replies this agent cannot sign.
 * @param replyKey the key that the job names
 * @throws JobRefused
 */
export function refuseUnsignedReplies(
  id: string,
  replyKey: string | undefined,
  replies: Replies,
  key: KmsMacKey | undefined,
): void {
  if (replyKey === replies.key?.arn) return;
  const own = key === undefined ? "this agent has none" : `this agent has ${key.arn}`;
  throw new BlockferryError({
    code: "JobRefused",
    message: `${id} is refused: its controller wants replies that are signed with another reply key, and ${own}.`,
    remedy:
      "Start the agent with the reply key of your controller (--reply-key, or BLOCKFERRY_REPLY_KEY in its environment), or start the job without one.",
    object: id,
  });
}

/**
 * Returns whether an agent on this worker has started the job before.
 * A heartbeat shows that; if replies are signed, it must be proven, because a restore that has started writes
 * to volumes that are not blank.
 * @throws storage errors
 */
export async function historyOf(
  storage: Storage,
  { id, objects }: ListedJob,
  replies: Replies,
): Promise<JobHistory> {
  if (!objects.has("status")) return "new";
  if (replies.key === undefined) return "started";
  try {
    return (await readStatus(storage, id, replies)) === undefined ? "new" : "started";
  } catch (error) {
    if (error instanceof BlockferryError && UNPROVEN.has(error.code)) return "new";
    throw error;
  }
}

const UNPROVEN: ReadonlySet<BlockferryError["code"]> = new Set([
  "JobUnsigned",
  "JobSignatureInvalid",
  "ObjectCorrupt",
  "RepositoryUnsupported",
]);
