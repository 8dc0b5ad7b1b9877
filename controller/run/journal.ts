import { BlockferryError, type ErrorCode } from "../../foundation/errors.js";
import { OWNER_TOKEN, ownerState } from "../../foundation/owner-token.js";
import { pause } from "../../foundation/retry.js";
import { journalKey } from "../../repository/jobs/job-key.js";
import { type Authorship, sealSigned } from "../../repository/jobs/signed-document.js";
import { isThere } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JobPlan } from "../plan/plan.js";
import type { Signing } from "../plan/signing.js";
import { type JournalRecord, lastTerm, readTerm, type StepRecord } from "./read-journals.js";

/**
 * The record of a job's progress, replaced in the repository at every change.
 * Every run writes a journal of its own. A process that takes a job over creates the next journal, only if it
 * is absent. When several processes try at once, exactly one succeeds. Late writes of the previous run go
 * into a journal that no process reads any more. The previous run finds the new journal at its next change
 * and has then lost the job.
 */
export class Journal {
  private lastWrite: Promise<void> = Promise.resolve();
  private readonly losing = new AbortController();

  private constructor(
    private readonly storage: Storage,
    readonly record: JournalRecord,
    private readonly term: number,
    private readonly signing: Signing,
    private readonly authorship: Authorship,
  ) {}

  /** Aborts with JobRunning when another run has taken the job over; that run then undoes the job. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  static async create(
    storage: Storage,
    plan: JobPlan,
    stepNames: string[],
    signing: Signing,
  ): Promise<Journal> {
    const steps = stepNames.map((name) => ({
      name,
      state: "pending" as const,
      startedAt: null,
      finishedAt: null,
    }));
    const record: JournalRecord = {
      ...{ version: 1, job: plan.jobId, owner: OWNER_TOKEN, updatedAt: new Date().toISOString() },
      ...{ state: "running", outcome: null, plan, made: {}, steps },
    };
    return Journal.claim(storage, 1, record, signing);
  }

  /**
   * Takes over the job of a run that has ended.
   * This takes `staleAfterMs` if that run was on another machine. The journal of a finished job is returned
   * without a takeover.
   * @throws JobRunning while the other run is alive or when another process takes the job over at the same
   * time; the errors of `readTerm`
   */
  static async takeOver(
    storage: Storage,
    job: string,
    staleAfterMs: number,
    signing: Signing,
    signal?: AbortSignal,
  ): Promise<Journal> {
    const term = await lastTerm(storage, job);
    const before = await readTerm(storage, job, term, signing);
    if (before.state === "finished")
      return new Journal(storage, before, term, signing, (await signing.journals(job))(term));
    if (await isAlive(storage, before, { term, staleAfterMs, signal }))
      throw jobRunning(before.job, before.owner);
    const journal = await Journal.claim(storage, term + 1, taken(before), signing);
    // A change that the previous run wrote between our read and our claim is valid.
    const last = await readTerm(storage, job, term, signing);
    if (last.updatedAt !== before.updatedAt)
      await journal.update((record) => Object.assign(record, taken(last)));
    return journal;
  }

  step(name: string): StepRecord {
    const found = this.record.steps.find((step) => step.name === name);
    if (found === undefined) throw new Error(`The journal of ${this.record.job} has no step ${name}.`);
    return found;
  }

  /**
   * Changes the record and stores it; concurrent changes are stored in call order.
   * @throws JobRunning when another run has taken the job over
   */
  update(change: (record: JournalRecord) => void): Promise<void> {
    change(this.record);
    this.record.updatedAt = new Date().toISOString();
    const body = sealSigned(this.record, this.authorship);
    const write = async () => {
      await this.assertOwned();
      await this.storage.put(journalKey(this.record.job, this.term), body);
    };
    this.lastWrite = this.lastWrite.then(write, write);
    return this.lastWrite;
  }

  private static async claim(
    storage: Storage,
    term: number,
    record: JournalRecord,
    signing: Signing,
  ): Promise<Journal> {
    const authorship = (await signing.journals(record.job))(term);
    try {
      await storage.put(journalKey(record.job, term), sealSigned(record, authorship), { ifNoneMatch: "*" });
    } catch (error) {
      if (!(error instanceof BlockferryError) || error.code !== "ObjectExists") throw error;
      throw jobRunning(record.job, "which took it over at the same moment");
    }
    return new Journal(storage, record, term, signing, authorship);
  }

  private async assertOwned(): Promise<void> {
    const { job } = this.record;
    this.lost.throwIfAborted();
    if (!(await isThere(this.storage, journalKey(job, this.term + 1))) || (await this.isNextForged())) return;
    this.losing.abort(jobRunning(job, "which has taken it over from this one"));
    this.lost.throwIfAborted();
  }

  /**
   * Returns whether the next journal is forged.
   * No controller with the job key can take the job over while a forged journal stands in the way, so this
   * run keeps the job.
   */
  private async isNextForged(): Promise<boolean> {
    if (this.authorship.key === undefined) return false;
    try {
      await readTerm(this.storage, this.record.job, this.term + 1, this.signing);
      return false;
    } catch (error) {
      return error instanceof BlockferryError && FORGED.has(error.code);
    }
  }
}

const FORGED: ReadonlySet<ErrorCode> = new Set(["JobUnsigned", "JobSignatureInvalid", "ObjectCorrupt"]);

/**
 * Returns whether a process seems to work on the job.
 * For display, and to choose the jobs to look at. It compares the date in the journal with the clock of this
 * machine, so a wrong clock misleads it; `takeOver` makes sure.
 */
export function seemsAlive({ owner, updatedAt, state }: JournalRecord, staleAfterMs: number): boolean {
  if (state === "finished" || owner === OWNER_TOKEN) return false;
  const process = ownerState(owner);
  const isFresh = Math.abs(Date.now() - Date.parse(updatedAt)) < staleAfterMs;
  return process === "running" || (process === "elsewhere" && isFresh);
}

const LOOKS = 20;

/**
 * Returns whether a process works on the job.
 * A process on this machine can be looked up. A process on another machine replaces the journal every few
 * seconds, so it is alive when the journal changes within `staleAfterMs`, measured by the clock of this
 * machine alone.
 */
async function isAlive(
  storage: Storage,
  { owner, job, state }: JournalRecord,
  { term, staleAfterMs, signal }: { term: number; staleAfterMs: number; signal: AbortSignal | undefined },
): Promise<boolean> {
  if (state === "finished" || owner === OWNER_TOKEN) return false;
  const process = ownerState(owner);
  if (process !== "elsewhere") return process === "running";
  const key = journalKey(job, term);
  const seen = await storage.get(key);
  for (let look = 0; look < LOOKS; look++) {
    await pause(staleAfterMs / LOOKS, signal);
    if (!(await storage.get(key)).equals(seen)) return true;
  }
  return false;
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
