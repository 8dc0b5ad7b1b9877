import * as z from "zod/mini";
import { byteCount } from "../byte-count.js";
import { readSealedIfThere } from "../read-sealed.js";
import { sealJson } from "../sealed-json.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";

const JobStartsSchema = z.strictObject({
  /** How often the job was begun since it got further than ever before, but for starts that an agent has ended itself. */
  count: z.int().check(z.nonnegative()),
  /** The most that `doneBytes` has been. */
  furthestBytes: byteCount,
});

export type JobStarts = z.infer<typeof JobStartsSchema>;

const JobStatusSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  worker: z.string(),
  state: z.enum(["preparing", "running", "finishing"]),
  /** Grows with every heartbeat, also over restarts of the agent: it tells that the agent lives, whatever the clocks say. */
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

/** The heartbeat of a job: written again and again by the agent while it runs it. */
export type JobStatus = z.infer<typeof JobStatusSchema>;

/** Replaces the one before. */
export async function writeStatus(storage: Storage, status: JobStatus): Promise<void> {
  await storage.put(jobKey(status.job, "status"), sealJson(status));
}

/** @returns undefined when there is none yet @throws ObjectCorrupt, RepositoryUnsupported */
export function readStatus(storage: Storage, id: string): Promise<JobStatus | undefined> {
  const key = jobKey(id, "status");
  return readSealedIfThere(storage, key, JobStatusSchema);
}
