import { BlockferryError } from "../foundation/blockferry-error.js";
import { OWNER_TOKEN, ownerState } from "../foundation/owner-token.js";
import { journalKey } from "../repository/jobs/job-key.js";
import { sealJson } from "../repository/sealed-json.js";
import { isThere } from "../repository/storage/if-absent.js";
import type { Storage } from "../repository/storage/storage.js";
import type { JournalRecord, StepRecord } from "./journal-record.js";
import type { JobPlan } from "./plan.js";
import { lastTerm, readTerm } from "./read-journals.js";

/**
 * What a run has done and is about to do, in a journal of the run's own that is replaced at every change. Who takes a job over
 * makes the next journal, only if absent: so of several that try at once one gets it, and what the run before writes late goes
 * into a journal that nobody reads any more. That run finds the new journal at its next change, and has lost the job.
 */
export class Journal {
  private lastWrite: Promise<void> = Promise.resolve();
  private readonly losing = new AbortController();

  private constructor(
    private readonly storage: Storage,
    readonly record: JournalRecord,
    private readonly term: number,
  ) {}

  /** Fires, with JobRunning, when another run is found to have taken the job over: it is its to undo now. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  static async create(storage: Storage, plan: JobPlan, stepNames: string[]): Promise<Journal> {
    const steps = stepNames.map((name) => ({
      name,
      state: "pending" as const,
      startedAt: null,
      finishedAt: null,
    }));
    return Journal.claim(storage, 1, {
      ...{ version: 1, job: plan.jobId, owner: OWNER_TOKEN, updatedAt: new Date().toISOString() },
      ...{ state: "running", outcome: null, plan, made: {}, steps },
    });
  }

  /**
   * Takes over the job of a run that has ended. One that is finished has nothing to be taken over for.
   * @throws JobRunning while it has not, or when somebody else is taking it over; ObjectNotFound
   */
  static async takeOver(storage: Storage, job: string, staleAfterMs: number): Promise<Journal> {
    const term = await lastTerm(storage, job);
    const before = await readTerm(storage, job, term);
    if (before.state === "finished") return new Journal(storage, before, term);
    if (isAlive(before, staleAfterMs)) throw jobRunning(before.job, before.owner);
    const journal = await Journal.claim(storage, term + 1, taken(before));
    // What the run before wrote between our look and our claim was written in time.
    const last = await readTerm(storage, job, term);
    if (last.updatedAt !== before.updatedAt)
      await journal.update((record) => Object.assign(record, taken(last)));
    return journal;
  }

  step(name: string): StepRecord {
    const found = this.record.steps.find((step) => step.name === name);
    if (found === undefined) throw new Error(`The journal of ${this.record.job} has no step ${name}.`);
    return found;
  }

  /** Changes the record and stores it; changes made at once are stored in their order. @throws JobRunning when it is lost */
  update(change: (record: JournalRecord) => void): Promise<void> {
    change(this.record);
    this.record.updatedAt = new Date().toISOString();
    const body = sealJson(this.record);
    const write = async () => {
      await this.assertOwned();
      await this.storage.put(journalKey(this.record.job, this.term), body);
    };
    this.lastWrite = this.lastWrite.then(write, write);
    return this.lastWrite;
  }

  private static async claim(storage: Storage, term: number, record: JournalRecord): Promise<Journal> {
    try {
      await storage.put(journalKey(record.job, term), sealJson(record), { ifNoneMatch: "*" });
    } catch (error) {
      if (!(error instanceof BlockferryError) || error.code !== "ObjectExists") throw error;
      throw jobRunning(record.job, "which took it over at the same moment");
    }
    return new Journal(storage, record, term);
  }

  private async assertOwned(): Promise<void> {
    const { job } = this.record;
    this.lost.throwIfAborted();
    if (!(await isThere(this.storage, journalKey(job, this.term + 1)))) return;
    this.losing.abort(jobRunning(job, "which has taken it over from this one"));
    this.lost.throwIfAborted();
  }
}

/** Whether a process works on the job: one here can be asked for, one elsewhere writes the journal every few seconds. */
export function isAlive({ owner, updatedAt, state }: JournalRecord, staleAfterMs: number): boolean {
  if (state === "finished" || owner === OWNER_TOKEN) return false;
  const process = ownerState(owner);
  return (
    process === "running" || (process === "elsewhere" && Date.now() - Date.parse(updatedAt) < staleAfterMs)
  );
}

function taken(record: JournalRecord): JournalRecord {
  return { ...structuredClone(record), owner: OWNER_TOKEN, updatedAt: new Date().toISOString() };
}

function jobRunning(job: string, who: string): BlockferryError {
  return new BlockferryError({
    code: "JobRunning",
    message: `Job ${job} is being run by another process (${who}).`,
    remedy: `Follow it with \`blockferry status ${job}\`, or end it with \`blockferry cancel ${job}\`.`,
    object: job,
  });
}
