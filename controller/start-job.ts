import type { Storage } from "../repository/storage/storage.js";
import type { Display } from "./display.js";
import { Journal } from "./journal.js";
import type { JournalRecord } from "./journal-record.js";
import { removeOldJobs } from "./old-jobs.js";
import type { Parties } from "./parties.js";
import type { JobPlan } from "./plan.js";
import { runSteps } from "./runner.js";
import { timing } from "./timing.js";
import { stepsOf } from "./workflow.js";

export interface JobEnvironment {
  parties: Parties;
  storage: Storage;
  display: Display;
  signal: AbortSignal;
}

/** Runs a plan from its beginning. @returns the journal of the job, which has done what it was to do */
export async function startJob(plan: JobPlan, environment: JobEnvironment): Promise<JournalRecord> {
  const names = stepsOf(plan).map(({ name }) => name);
  const journal = await Journal.create(environment.storage, plan, names);
  const record = await continueJob(journal, environment);
  // Where it may not, `cleanup` does: that is no failure of the job.
  await removeOldJobs(environment.storage).catch(() => undefined);
  return record;
}

/** Goes on where a run has ended: forward, or with undoing. @returns as `startJob` @throws JobRunning */
export async function resumeJob(job: string, environment: JobEnvironment): Promise<JournalRecord> {
  const journal = await Journal.takeOver(environment.storage, job, timing().heartbeatMs);
  return continueJob(journal, environment);
}

async function continueJob(
  journal: Journal,
  { parties, storage, display, signal }: JobEnvironment,
): Promise<JournalRecord> {
  const { plan } = journal.record;
  const base = { plan, storage, timing: timing(), ...parties };
  await runSteps({ steps: stepsOf(plan), journal, base, display, signal });
  return journal.record;
}
