import * as z from "zod/mini";
import {
  asBlockferryError,
  BlockferryError,
  ERROR_CODES,
  type ErrorRecord,
} from "../foundation/blockferry-error.js";
import { OWNER_TOKEN, ownerState } from "../foundation/owner-token.js";
import { jobKey, listJobs } from "../repository/jobs/job-key.js";
import { sealJson, unsealJson } from "../repository/sealed-json.js";
import { againIfDamaged } from "../repository/storage/again-if-damaged.js";
import { undefinedIfAbsent } from "../repository/storage/if-absent.js";
import type { Storage } from "../repository/storage/storage.js";
import { JOB_TAG } from "./aws/tags.js";
import { type Plan, PlanSchema } from "./plan.js";
import { MadeSchema } from "./steps/step.js";

const ErrorSchema = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  remedy: z.string(),
  object: z.optional(z.string()),
  offset: z.optional(z.number()),
});

const StepRecordSchema = z.strictObject({
  name: z.string(),
  /** `running` is written before anything is made, so what a killed run made is looked for. */
  state: z.enum(["pending", "running", "done", "failed", "undone"]),
  startedAt: z.nullable(z.iso.datetime()),
  finishedAt: z.nullable(z.iso.datetime()),
});

const JournalSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  /** The process that runs it, as in the names of temporary files. */
  owner: z.string(),
  updatedAt: z.iso.datetime(),
  /** `undoing` until everything temporary is gone, after success and failure alike. */
  state: z.enum(["running", "undoing", "finished"]),
  outcome: z.nullable(
    z.discriminatedUnion("ok", [
      z.strictObject({ ok: z.literal(true), point: z.string() }),
      z.strictObject({ ok: z.literal(false), error: ErrorSchema }),
    ]),
  ),
  plan: PlanSchema,
  made: MadeSchema,
  steps: z.array(StepRecordSchema),
});

export type JournalRecord = z.infer<typeof JournalSchema>;
export type StepRecord = z.infer<typeof StepRecordSchema>;

/** What a run has done and is about to do, in `jobs/<id>/journal.json`; replaced at every change. */
export class Journal {
  private lastWrite: Promise<void> = Promise.resolve();

  private constructor(
    private readonly storage: Storage,
    readonly record: JournalRecord,
  ) {}

  static async create(storage: Storage, plan: Plan, stepNames: string[]): Promise<Journal> {
    const steps = stepNames.map((name) => ({
      name,
      state: "pending" as const,
      startedAt: null,
      finishedAt: null,
    }));
    const journal = new Journal(storage, {
      ...{ version: 1, job: plan.jobId, owner: OWNER_TOKEN, updatedAt: new Date().toISOString() },
      ...{ state: "running", outcome: null, plan, made: {}, steps },
    });
    await journal.update(() => undefined);
    return journal;
  }

  /** Takes over the journal of a run that has ended. @throws JobRunning while it has not */
  static async takeOver(storage: Storage, record: JournalRecord, staleAfterMs: number): Promise<Journal> {
    if (isAlive(record, staleAfterMs)) throw jobRunning(record);
    const journal = new Journal(storage, structuredClone(record));
    await journal.update((taken) => {
      taken.owner = OWNER_TOKEN;
    });
    return journal;
  }

  step(name: string): StepRecord {
    const found = this.record.steps.find((step) => step.name === name);
    if (found === undefined) throw new Error(`The journal of ${this.record.job} has no step ${name}.`);
    return found;
  }

  /** Changes the record and stores it; changes made at once are stored in their order. */
  update(change: (record: JournalRecord) => void): Promise<void> {
    change(this.record);
    this.record.updatedAt = new Date().toISOString();
    const body = sealJson(this.record);
    const write = () => this.storage.put(jobKey(this.record.job, "journal"), body);
    this.lastWrite = this.lastWrite.then(write, write);
    return this.lastWrite;
  }
}

/** @returns undefined when no run has made a journal for the job @throws ObjectCorrupt, RepositoryUnsupported */
export function readJournal(storage: Storage, id: string): Promise<JournalRecord | undefined> {
  const key = jobKey(id, "journal");
  return undefinedIfAbsent(() =>
    againIfDamaged(async () => unsealJson(await storage.get(key), JournalSchema, key)),
  );
}

/** All journals of a repository, oldest first; one that cannot be read is a problem, and does not hide the others. */
export async function readJournals(
  storage: Storage,
): Promise<{ records: JournalRecord[]; problems: ErrorRecord[] }> {
  const records: JournalRecord[] = [];
  const problems: ErrorRecord[] = [];
  for (const { id, objects } of await listJobs(storage)) {
    if (!objects.has("journal")) continue;
    try {
      const record = await readJournal(storage, id);
      if (record !== undefined) records.push(record);
    } catch (error) {
      problems.push(unreadable(id, asBlockferryError(error)).toRecord());
    }
  }
  return { records, problems };
}

/** Whether a process works on the job: one here can be asked for, one elsewhere writes the journal every few seconds. */
export function isAlive({ owner, updatedAt, state }: JournalRecord, staleAfterMs: number): boolean {
  if (state === "finished" || owner === OWNER_TOKEN) return false;
  const process = ownerState(owner);
  return (
    process === "running" || (process === "elsewhere" && Date.now() - Date.parse(updatedAt) < staleAfterMs)
  );
}

function unreadable(id: string, error: BlockferryError): BlockferryError {
  return new BlockferryError(
    {
      ...error.toRecord(),
      message: `What ${id} has left is unknown: ${error.message}`,
      remedy:
        `Look in both accounts for snapshots, volumes and instances with the tag ${JOB_TAG}=${id}, remove them, ` +
        `and then delete jobs/${id}/.`,
    },
    error,
  );
}

function jobRunning({ job, owner }: JournalRecord): BlockferryError {
  return new BlockferryError({
    code: "JobRunning",
    message: `Job ${job} is being run by another process (${owner}).`,
    remedy: `Follow it with \`blockferry status ${job}\`, or end it with \`blockferry cancel ${job}\`.`,
    object: job,
  });
}
