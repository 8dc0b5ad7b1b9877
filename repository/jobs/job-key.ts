import type { Storage } from "../storage/storage.js";

/** The objects of a job, beside its journals. The controller writes `job` and `cancel`; the agent `status` and `result`. */
const FILES = {
  job: "job.json",
  status: "status.json",
  result: "result.json",
  cancel: "cancel",
} as const;

export type JobObject = keyof typeof FILES;

export function jobKey(id: string, object: JobObject): string {
  return `jobs/${id}/${FILES[object]}`;
}

/**
 * Each controller of a job has a journal of its own; the one with the highest term counts.
 * @param term from 1 up, one for each controller that the job has had
 */
export function journalKey(id: string, term: number): string {
  return `jobs/${id}/journal${term === 1 ? "" : `-${term}`}.json`;
}

/** Anything else in the folder is no job, and left alone. */
const JOB_KEY = /^jobs\/(job-\d{8}T\d{6}Z-[0-9a-f]{8})\/([^/]+)$/;
const JOURNAL = /^journal(?:-([1-9]\d{0,8}))?\.json$/;

/** A job and which of its objects there are. */
export interface ListedJob {
  id: string;
  objects: Set<JobObject>;
  /** Terms of its journals, rising; none for a job that no controller has made. */
  terms: number[];
}

/** All jobs, oldest first. One listing tells who has a result, so that nobody needs to ask for each. */
export async function listJobs(storage: Storage): Promise<ListedJob[]> {
  const jobs = await listBelow(storage, "jobs/");
  return [...jobs.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** @returns undefined when there is nothing of the job */
export async function listJob(storage: Storage, id: string): Promise<ListedJob | undefined> {
  return (await listBelow(storage, `jobs/${id}/`)).get(id);
}

async function listBelow(storage: Storage, prefix: string): Promise<Map<string, ListedJob>> {
  const jobs = new Map<string, ListedJob>();
  for (const { key } of await storage.list(prefix)) {
    const [, id = "", file = ""] = JOB_KEY.exec(key) ?? [];
    const object = (Object.keys(FILES) as JobObject[]).find((name) => FILES[name] === file);
    const journal = JOURNAL.exec(file);
    if (object === undefined && journal === null) continue;
    const job = jobs.get(id) ?? { id, objects: new Set(), terms: [] };
    if (object !== undefined) job.objects.add(object);
    if (journal !== null) job.terms.push(Number(journal[1] ?? 1));
    jobs.set(id, job);
  }
  for (const { terms } of jobs.values()) terms.sort((a, b) => a - b);
  return jobs;
}
