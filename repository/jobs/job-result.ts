import * as z from "zod/mini";
import { ERROR_CODES } from "../../foundation/blockferry-error.js";
import { byteCount } from "../byte-count.js";
import { readSealedIfThere } from "../read-sealed.js";
import { sealJson } from "../sealed-json.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";

const ErrorRecordSchema = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  remedy: z.string(),
  object: z.optional(z.string()),
  offset: z.optional(byteCount),
});

const JobResultSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  worker: z.string(),
  finishedAt: z.iso.datetime(),
  outcome: z.discriminatedUnion("ok", [
    /** `point` is the id of the recovery point. */
    z.strictObject({ ok: z.literal(true), point: z.string() }),
    z.strictObject({ ok: z.literal(false), error: ErrorRecordSchema }),
  ]),
});

/** How a job ended: the last thing that the agent writes. */
export type JobResult = z.infer<typeof JobResultSchema>;

/** @throws ObjectExists when the job has another result already */
export async function writeResult(storage: Storage, result: JobResult): Promise<void> {
  await storage.put(jobKey(result.job, "result"), sealJson(result), { ifNoneMatch: "*" });
}

/** @returns undefined when there is none yet @throws ObjectCorrupt, RepositoryUnsupported */
export function readResult(storage: Storage, id: string): Promise<JobResult | undefined> {
  const key = jobKey(id, "result");
  return readSealedIfThere(storage, key, JobResultSchema);
}
