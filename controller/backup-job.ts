import type { Storage } from "../repository/storage/storage.js";
import type { Display } from "./display.js";
import { Journal } from "./journal.js";
import { removeOldJobs } from "./old-jobs.js";
import type { Parties } from "./parties.js";
import type { Plan } from "./plan.js";
import { runSteps } from "./runner.js";
import { timing } from "./timing.js";
import { stepsOf } from "./workflow.js";

export interface JobEnvironment {
  parties: Parties;
  storage: Storage;
  display: Display;
  signal: AbortSignal;
}

/** Runs a plan from its beginning. @returns the id of the recovery point */
export async function startJob(plan: Plan, environment: JobEnvironment): Promise<string> {
  const names = stepsOf(plan).map(({ name }) => name);
  const journal = await Journal.create(environment.storage, plan, names);
  const point = await continueJob(journal, environment);
  // Where it may not, `cleanup` does: that is no failure of a backup.
  await removeOldJobs(environment.storage).catch(() => undefined);
  return point;
}

/** Goes on where a run has ended: forward, or with undoing. @throws JobRunning */
export async function resumeJob(job: string, environment: JobEnvironment): Promise<string> {
  const journal = await Journal.takeOver(environment.storage, job, timing().heartbeatMs);
  return continueJob(journal, environment);
}

function continueJob(
  journal: Journal,
  { parties, storage, display, signal }: JobEnvironment,
): Promise<string> {
  const { plan } = journal.record;
  const base = { plan, storage, timing: timing(), ...parties };
  return runSteps({ steps: stepsOf(plan), journal, base, display, signal });
}
