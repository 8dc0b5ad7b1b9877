import * as z from "zod/mini";
import { ERROR_CODES } from "../../foundation/errors.js";
import { byteCount } from "../format/recovery-point.js";
import { sealJson } from "../format/sealed-json.js";
import { isThere, undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";
import { type Replies, readClaimed, readSigned, refuseCopy, sealSigned } from "./signed-document.js";

const JobStartsSchema = z.strictObject({
  /**
   * How often the job was started since it last made progress.
   * Starts that an agent ended itself do not count.
   */
  count: z.int().check(z.nonnegative()),
  /** The maximum of `doneBytes` so far. */
  furthestBytes: byteCount,
});

export type JobStarts = z.infer<typeof JobStartsSchema>;

export const JobStatusSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  worker: z.string(),
  state: z.enum(["preparing", "running", "finishing"]),
  /**
   * Grows with every heartbeat, also across restarts of the agent: shows that the agent is alive, independent
   * of clocks.
   */
  sequence: z.int().check(z.nonnegative()),
  updatedAt: z.iso.datetime(),
  /** Left out by agents that did not count. */
  starts: z.optional(JobStartsSchema),
  totalBytes: byteCount,
  doneBytes: byteCount,
  zeroBytes: byteCount,
  duplicateBytes: byteCount,
  newBytes: byteCount,
  storedBytes: byteCount,
});

/** The heartbeat of a job, rewritten periodically while the agent runs the job. */
export type JobStatus = z.infer<typeof JobStatusSchema>;

/** Replaces the previous status. */
export async function writeStatus(storage: Storage, status: JobStatus, replies: Replies): Promise<void> {
  await storage.put(jobKey(status.job, "status"), sealSigned(status, replies.as("status")));
}

/**
 * Reads the proven status of a job.
 * @returns undefined when there is none yet
 * @throws the errors of `readSigned`; ObjectCorrupt when it belongs to another job
 */
export async function readStatus(
  storage: Storage,
  id: string,
  replies: Replies,
): Promise<JobStatus | undefined> {
  const key = jobKey(id, "status");
  const status = await undefinedIfAbsent(() =>
    readSigned(storage, key, JobStatusSchema, replies.as("status")),
  );
  if (status !== undefined) refuseCopy(key, id, status.job);
  return status;
}

/** An `ErrorRecord` in a document. */
export const ErrorRecordSchema = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  details: z.optional(z.readonly(z.array(z.string()))),
  remedy: z.string(),
  object: z.optional(z.string()),
  offset: z.optional(byteCount),
});

export const MAX_ALARMS = 100;
export const MAX_ALARM_LENGTH = 1000;

/** The data that a backup relies on: chunks and block-map nodes that the repository already had. */
export const RelianceSchema = z.strictObject({
  /** Bytes of these chunks, each counted once. */
  knownBytes: byteCount,
  /** Bytes in packs that no verification on the machine of the backup has read; part of `knownBytes`. */
  unreadBytes: byteCount,
  /** Bytes that the backup has read and proven; part of `knownBytes`. */
  provenBytes: byteCount,
  /** Bytes of listed chunks that turned out to be damaged, and that the backup stored again. */
  storedAgainBytes: byteCount,
  /** Problems of the repository, by pack. */
  alarms: z.array(z.string().check(z.maxLength(MAX_ALARM_LENGTH))).check(z.maxLength(MAX_ALARMS)),
});

export type Reliance = z.infer<typeof RelianceSchema>;

const JobResultSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  worker: z.string(),
  finishedAt: z.iso.datetime(),
  outcome: z.discriminatedUnion("ok", [
    z.strictObject({
      ok: z.literal(true),
      /** Id of the recovery point. */
      point: z.string(),
      /** Only for a backup; left out if the agent was killed between the recovery point and the result. */
      reliance: z.optional(RelianceSchema),
    }),
    z.strictObject({ ok: z.literal(false), error: ErrorRecordSchema }),
  ]),
});

/** The outcome of a job: the last document that the agent writes. */
export type JobResult = z.infer<typeof JobResultSchema>;

/** Writes the result of a job. @throws ObjectExists when the job already has a different result */
export async function writeResult(storage: Storage, result: JobResult, replies: Replies): Promise<void> {
  await storage.put(jobKey(result.job, "result"), sealSigned(result, replies.as("result")), {
    ifNoneMatch: "*",
  });
}

/**
 * Reads the proven result of a job.
 * @returns undefined when there is none yet
 * @throws the errors of `readSigned`; ObjectCorrupt when it belongs to another job
 */
export async function readResult(
  storage: Storage,
  id: string,
  replies: Replies,
): Promise<JobResult | undefined> {
  const key = jobKey(id, "result");
  const result = await undefinedIfAbsent(() =>
    readSigned(storage, key, JobResultSchema, replies.as("result")),
  );
  if (result !== undefined) refuseCopy(key, id, result.job);
  return result;
}

/** Reads the result of a job without proving it. @returns undefined when it cannot be read */
export async function readClaimedResult(storage: Storage, id: string): Promise<JobResult | undefined> {
  return readClaimed(storage, jobKey(id, "result"), JobResultSchema).catch(() => undefined);
}

/** Asks the agent to cancel a job. A repeated request is not an error. */
export async function requestCancel(storage: Storage, id: string): Promise<void> {
  await storage.put(jobKey(id, "cancel"), sealJson({}));
}

/** Returns whether the job was cancelled. Only the existence of the object counts, not its content. */
export function isCancelled(storage: Storage, id: string): Promise<boolean> {
  return isThere(storage, jobKey(id, "cancel"));
}
