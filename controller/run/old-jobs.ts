import { jobTime, type ListedJob, listJobs, removeJob } from "../../repository/jobs/job-key.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { Signing } from "../plan/signing.js";
import { readTerm } from "./read-journals.js";

const DAY_MS = 24 * 60 * 60 * 1000;
/** How long the documents of a finished job are kept, for `status` and for investigations. */
const KEPT_MS = 30 * DAY_MS;

/**
 * Removes the documents of jobs that finished more than 30 days ago.
 * Every poll of an agent lists all jobs, so old documents slow it down. Documents of an unfinished job, or of
 * a job that cannot be read or verified, are never removed.
 * @returns ids of the removed jobs
 */
export async function removeOldJobs(storage: Storage, signing: Signing, now = Date.now()): Promise<string[]> {
  const removed: string[] = [];
  for (const job of await listJobs(storage)) {
    // A job was created before it ended, so journals of recent jobs need not be read.
    if (now - jobTime(job.id) < KEPT_MS || !(await isOver(storage, job, signing, now))) continue;
    await removeJob(storage, job);
    removed.push(job.id);
  }
  return removed;
}

async function isOver(
  storage: Storage,
  { id, objects, terms }: ListedJob,
  signing: Signing,
  now: number,
): Promise<boolean> {
  const term = terms.at(-1);
  // No controller made this job, or it is half removed. Either an agent has answered it, or its job document
  // is gone.
  if (term === undefined) return objects.has("result") || !objects.has("job");
  const record = await readTerm(storage, id, term, signing).catch(() => undefined);
  return record?.state === "finished" && now - Date.parse(record.updatedAt) >= KEPT_MS;
}
