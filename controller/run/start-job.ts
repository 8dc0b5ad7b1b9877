import type { Storage } from "../../repository/storage/storage.js";
import { timing } from "../aws/poll.js";
import type { Parties } from "../plan/parties.js";
import type { JobPlan } from "../plan/plan.js";
import type { JobRequest } from "../plan/request.js";
import { pinned } from "../plan/signing.js";
import { Journal } from "./journal.js";
import { removeOldJobs } from "./old-jobs.js";
import type { JournalRecord } from "./read-journals.js";
import { type Display, runSteps } from "./runner.js";
import { stepsOf } from "./workflow.js";

interface JobEnvironment {
  parties: Parties;
  storage: Storage;
  display: Display;
  signal: AbortSignal;
}

/**
 * Runs a new job from its plan.
 * @returns the journal of the completed job
 */
export async function startJob(plan: JobPlan, environment: JobEnvironment): Promise<JournalRecord> {
  const names = stepsOf(plan).map(({ name }) => name);
  const { storage, parties } = environment;
  const journal = await Journal.create(storage, plan, names, parties.signing);
  const record = await continueJob(journal, plan, environment);
  // Without permission to remove them, `cleanup` does it later, and the job does not fail.
  await removeOldJobs(storage, parties.signing).catch(() => undefined);
  return record;
}

/**
 * Resumes a job where its last run ended: forward, or with undoing.
 * @param repository the repository for a worker that is launched; never the journal's, which may name a
 * foreign endpoint
 * @returns the journal of the completed job
 * @throws JobRunning
 */
export async function resumeJob(
  job: string,
  repository: JobRequest["repository"],
  environment: JobEnvironment,
): Promise<JournalRecord> {
  const { storage, parties } = environment;
  const journal = await Journal.takeOver(
    storage,
    job,
    timing().heartbeatMs,
    parties.signing,
    environment.signal,
  );
  const { plan } = journal.record;
  const request = { ...plan.request, repository: pinned(repository, parties.signing) };
  return continueJob(journal, { ...plan, request } as JobPlan, environment);
}

async function continueJob(
  journal: Journal,
  plan: JobPlan,
  { parties, storage, display, signal }: JobEnvironment,
): Promise<JournalRecord> {
  const base = { plan, storage, timing: timing(), ...parties };
  await runSteps({ steps: stepsOf(plan), journal, base, display, signal });
  return journal.record;
}
