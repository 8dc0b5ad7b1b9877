import * as z from "zod/mini";
import { byteCount } from "../byte-count.js";
import { undefinedIfAbsent } from "../storage/if-absent.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";
import { type Replies, readSigned, refuseCopy, sealSigned } from "./signed-document.js";

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

const JobStatusSchema = z.strictObject({
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
