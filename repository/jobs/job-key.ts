import type { Storage } from "../storage/storage.js";

/** The objects of a job. The controller writes `job`, `cancel` and `journal`; the agent `status` and `result`. */
const FILES = {
  job: "job.json",
  status: "status.json",
  result: "result.json",
  cancel: "cancel",
  journal: "journal.json",
} as const;

export type JobObject = keyof typeof FILES;

export function jobKey(id: string, object: JobObject): string {
  return `jobs/${id}/${FILES[object]}`;
}

/** Anything else in the folder is no job, and left alone. */
const JOB_KEY = /^jobs\/(job-\d{8}T\d{6}Z-[0-9a-f]{8})\/([^/]+)$/;

/** A job and which of its objects there are. */
export interface ListedJob {
  id: string;
  objects: Set<JobObject>;
}

/** All jobs, oldest first. One listing tells who has a result, so that nobody needs to ask for each. */
export async function listJobs(storage: Storage): Promise<ListedJob[]> {
  const jobs = new Map<string, ListedJob>();
  for (const { key } of await storage.list("jobs/")) {
    const [, id = "", file = ""] = JOB_KEY.exec(key) ?? [];
    const object = (Object.keys(FILES) as JobObject[]).find((name) => FILES[name] === file);
    if (object === undefined) continue;
    const job = jobs.get(id) ?? { id, objects: new Set() };
    job.objects.add(object);
    jobs.set(id, job);
  }
  return [...jobs.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
