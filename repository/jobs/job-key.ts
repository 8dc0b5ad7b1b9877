import type { Storage } from "../storage/storage.js";

/**
 * The objects of a job, except its journals. The controller writes `job` and `cancel`; the agent writes
 * `status`, `result` and `figures`.
 */
const FILES = {
  job: "job.json",
  status: "status.json",
  result: "result.json",
  figures: "figures.json",
  cancel: "cancel",
} as const;

type JobObject = keyof typeof FILES;

export function jobKey(id: string, object: JobObject): string {
  return `jobs/${id}/${FILES[object]}`;
}

/**
 * Returns the key of a journal. Each controller of a job has its own journal; the one with the highest term
 * counts.
 * @param term from 1, one for each controller of the job
 */
export function journalKey(id: string, term: number): string {
  return `jobs/${id}/journal${term === 1 ? "" : `-${term}`}.json`;
}

/** Returns the creation time of a job from its id, in milliseconds since 1970. */
export function jobTime(id: string): number {
  const [, ...parts] = /^job-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(id) ?? [];
  const [year = 0, month = 0, ...rest] = parts.map(Number);
  return Date.UTC(year, month - 1, ...rest);
}

/** Other objects in the folder are not part of a job and are left alone. */
const JOB_KEY = /^jobs\/(job-\d{8}T\d{6}Z-[0-9a-f]{8})\/([^/]+)$/;
const JOURNAL = /^journal(?:-([1-9]\d{0,8}))?\.json$/;

/** A job and the objects of it that exist. */
export interface ListedJob {
  id: string;
  objects: Set<JobObject>;
  /** Terms of its journals, ascending; empty for a job that no controller created. */
  terms: number[];
}

/** Lists all jobs, oldest first. One listing shows which jobs have a result, without a request for each. */
export async function listJobs(storage: Storage): Promise<ListedJob[]> {
  const jobs = await listBelow(storage, "jobs/");
  return [...jobs.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Lists the objects of one job. @returns undefined without any objects */
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

/**
 * Removes all objects of a job. `job.json` goes first: without it no agent takes the job for a new one. The
 * last journal goes last: it says that the job is finished, and an earlier journal would say otherwise.
 */
export async function removeJob(storage: Storage, { id, objects, terms }: ListedJob): Promise<void> {
  const others = [...objects].filter((object) => object !== "job").map((object) => jobKey(id, object));
  const [last, ...earlier] = terms.map((term) => journalKey(id, term)).toReversed();
  await storage.delete([jobKey(id, "job")]);
  await storage.delete([...others, ...earlier]);
  if (last !== undefined) await storage.delete([last]);
}
