import { jobTime, type ListedJob, listJobs, removeJob } from "../repository/jobs/job-key.js";
import type { Storage } from "../repository/storage/storage.js";
import { readTerm } from "./read-journals.js";

const DAY_MS = 24 * 60 * 60 * 1000;
/** How long the documents of a finished job are kept, for `status` and whoever looks into what happened. */
const KEPT_MS = 30 * DAY_MS;

/**
 * Removes the documents of jobs that have been finished for long: every look of an agent lists all that there are. What belongs
 * to an unfinished job, or to one that cannot be read, is never removed.
 * @returns ids of the jobs
 */
export async function removeOldJobs(storage: Storage, now = Date.now()): Promise<string[]> {
  const removed: string[] = [];
  for (const job of await listJobs(storage)) {
    // A job is older than its end: the young ones need not be read.
    if (now - jobTime(job.id) < KEPT_MS || !(await isOver(storage, job, now))) continue;
    await removeJob(storage, job);
    removed.push(job.id);
  }
  return removed;
}

async function isOver(storage: Storage, { id, objects, terms }: ListedJob, now: number): Promise<boolean> {
  const term = terms.at(-1);
  // Made by no controller, or half removed: an agent has answered it, or there is nothing left for one to do.
  if (term === undefined) return objects.has("result") || !objects.has("job");
  const record = await readTerm(storage, id, term).catch(() => undefined);
  return record?.state === "finished" && now - Date.parse(record.updatedAt) >= KEPT_MS;
}
