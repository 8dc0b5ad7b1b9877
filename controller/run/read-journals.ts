import * as z from "zod/mini";
import { asBlockferryError, BlockferryError, type ErrorRecord } from "../../foundation/errors.js";
import { journalKey, listJob, listJobs } from "../../repository/jobs/job-key.js";
import { ErrorRecordSchema } from "../../repository/jobs/job-replies.js";
import { readClaimed, readSigned, refuseCopy } from "../../repository/jobs/signed-document.js";
import { undefinedIfAbsent } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { JOB_TAG } from "../aws/job-resources.js";
import { PlanSchema, RestorePlanSchema } from "../plan/plan.js";
import type { Signing } from "../plan/signing.js";
import { MadeSchema } from "../steps/step.js";

export const StepRecordSchema = z.strictObject({
  name: z.string(),
  /**
   * `running` is written before a resource is created, so a later run looks for resources of a killed run.
   */
  state: z.enum(["pending", "running", "done", "failed", "undone"]),
  startedAt: z.nullable(z.iso.datetime()),
  finishedAt: z.nullable(z.iso.datetime()),
});

export const JournalSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  /** The process that runs the job, in the same form as in names of temporary files. */
  owner: z.string(),
  updatedAt: z.iso.datetime(),
  /** `undoing` until every temporary resource is gone, after success and after failure. */
  state: z.enum(["running", "undoing", "finished"]),
  outcome: z.nullable(
    z.discriminatedUnion("ok", [
      z.strictObject({ ok: z.literal(true), point: z.string() }),
      z.strictObject({ ok: z.literal(false), error: ErrorRecordSchema }),
    ]),
  ),
  plan: z.union([RestorePlanSchema, PlanSchema]),
  made: MadeSchema,
  steps: z.array(StepRecordSchema),
});

export type JournalRecord = z.infer<typeof JournalSchema>;
export type StepRecord = z.infer<typeof StepRecordSchema>;

/** Returns the term of the current journal; 1 when the job has no journal. */
export async function lastTerm(storage: Storage, job: string): Promise<number> {
  return (await listJob(storage, job))?.terms.at(-1) ?? 1;
}

/**
 * Reads and verifies the journal of one term.
 * @throws the errors of `readSigned`; ObjectCorrupt when the journal is of another job or repository; the
 * errors of aws-errors.ts
 */
export async function readTerm(
  storage: Storage,
  job: string,
  term: number,
  signing: Signing,
): Promise<JournalRecord> {
  const authorshipOf = await signing.journals(job);
  const key = journalKey(job, term);
  const record = await readSigned(storage, key, JournalSchema, authorshipOf(term));
  refuseCopy(key, `${job} of repository ${signing.place.repository}`, placeOf(record));
  return record;
}

function placeOf({ job, plan }: JournalRecord): string {
  return `${job === plan.jobId ? job : `${job} and ${plan.jobId}`} of repository ${plan.repositoryId}`;
}

/**
 * Reads the current journal of a job.
 * @returns undefined when the job has no journal
 * @throws the errors of `readTerm`
 */
export function readJournal(
  storage: Storage,
  job: string,
  signing: Signing,
): Promise<JournalRecord | undefined> {
  return undefinedIfAbsent(async () => readTerm(storage, job, await lastTerm(storage, job), signing));
}

/**
 * Reads the current journal of a job without verifying it.
 * Its content is the claim of anyone who may write to the repository.
 * @throws ObjectCorrupt, RepositoryUnsupported
 */
export function readClaimedJournal(storage: Storage, job: string): Promise<JournalRecord | undefined> {
  return undefinedIfAbsent(async () =>
    readClaimed(storage, journalKey(job, await lastTerm(storage, job)), JournalSchema),
  );
}

/**
 * Reads all journals of a repository, oldest first.
 * A journal that cannot be read or verified becomes a problem and does not hide the other journals.
 * @throws the errors of aws-errors.ts when KMS does not answer, because then no journal can be verified
 */
export async function readJournals(
  storage: Storage,
  signing: Signing,
): Promise<{ records: JournalRecord[]; problems: ErrorRecord[] }> {
  const records: JournalRecord[] = [];
  const problems: ErrorRecord[] = [];
  for (const { id, terms } of await listJobs(storage)) {
    const term = terms.at(-1);
    if (term === undefined) continue;
    await signing.journals(id);
    try {
      const record = await undefinedIfAbsent(() => readTerm(storage, id, term, signing));
      if (record !== undefined) records.push(record);
    } catch (error) {
      const problem = asBlockferryError(error);
      problems.push((isOfTheWriter(problem) ? problem : unreadable(id, problem)).toRecord());
    }
  }
  return { records, problems };
}

/**
 * Returns whether the journal is not meant for this controller.
 * The remedy for an unreadable journal would delete the resources that a true journal records.
 */
function isOfTheWriter({ code }: BlockferryError): boolean {
  return code === "JobUnsigned" || code === "JobSignatureInvalid" || code === "JobRefused";
}

function unreadable(id: string, error: BlockferryError): BlockferryError {
  return new BlockferryError(
    {
      ...error.toRecord(),
      message: `The leftovers of ${id} are unknown: ${error.message}`,
      remedy:
        `Look in both accounts for snapshots, volumes and instances with the tag ${JOB_TAG}=${id}, remove them, ` +
        `and then delete jobs/${id}/.`,
    },
    error,
  );
}
