import { asBlockferryError, BlockferryError, type ErrorRecord } from "../../foundation/errors.js";
import type { Storage } from "../../repository/storage/storage.js";
import { timing } from "../aws/poll.js";
import type { Parties } from "../plan/parties.js";
import type { JobPlan } from "../plan/plan.js";
import type { Signing } from "../plan/signing.js";
import { Journal, seemsAlive } from "./journal.js";
import { removeOldJobs } from "./old-jobs.js";
import { type JournalRecord, readJournals } from "./read-journals.js";
import { type Display, runSteps } from "./runner.js";
import { stepsOf } from "./workflow.js";

interface CleanupOptions {
  storage: Storage;
  olderThanMs: number;
  display: Display;
  signing: Signing;
  reopenParties(plan: JobPlan): Promise<Parties>;
}

export interface CleanupReport {
  /** Jobs whose temporary resources were removed. */
  cleaned: string[];
  /** Jobs that are still running, or that stopped too recently. */
  left: string[];
  problems: ErrorRecord[];
  /** Jobs that finished long ago and whose documents were removed from the repository. */
  removed: string[];
}

/** The unfinished jobs of a repository. */
interface UnfinishedJobs {
  /** Jobs whose run ended before it removed everything, according to their journals. */
  abandoned: JournalRecord[];
  /** Jobs that are still running, or that stopped too recently. */
  left: string[];
  /** Journals that cannot be read or verified, so the resources that these jobs left are unknown. */
  problems: ErrorRecord[];
}

/**
 * Lists the unfinished jobs of a repository.
 * @param olderThanMs time since the last journal update after which a stopped job counts as abandoned
 * @throws the errors of `storage.list`
 */
export async function unfinishedJobs(
  storage: Storage,
  signing: Signing,
  olderThanMs: number,
): Promise<UnfinishedJobs> {
  const { records, problems } = await readJournals(storage, signing);
  const unfinished = records.filter(({ state }) => state !== "finished");
  const isAbandoned = (record: JournalRecord) =>
    Date.now() - Date.parse(record.updatedAt) >= olderThanMs && !seemsAlive(record, timing().heartbeatMs);
  return {
    abandoned: unfinished.filter(isAbandoned),
    left: unfinished.filter((record) => !isAbandoned(record)).map(({ job }) => job),
    problems,
  };
}

/**
 * Removes the temporary resources of abandoned jobs, and old job documents.
 * In both accounts only resources with the tag of an abandoned job are removed. In the repository the
 * documents of jobs that finished long ago are removed.
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanupReport> {
  const { storage, signing, olderThanMs } = options;
  const { abandoned, left, problems } = await unfinishedJobs(storage, signing, olderThanMs);
  const report: CleanupReport = { cleaned: [], left, problems, removed: [] };
  for (const record of abandoned) {
    try {
      await abandon(record, options);
      report.cleaned.push(record.job);
    } catch (thrown) {
      const error = asBlockferryError(thrown);
      // Another process took the job over after it was listed.
      if (error.code === "JobRunning") report.left.push(record.job);
      else report.problems.push(error.toRecord());
    }
  }
  try {
    report.removed = await removeOldJobs(storage, signing);
  } catch (thrown) {
    report.problems.push(asBlockferryError(thrown).toRecord());
  }
  return report;
}

async function abandon(record: JournalRecord, options: CleanupOptions): Promise<void> {
  const { storage, signing, display } = options;
  const parties = await options.reopenParties(record.plan);
  const journal = await Journal.takeOver(storage, record.job, timing().heartbeatMs, signing);
  if (journal.record.state === "finished") return;
  const error = abandonedError(record.job).toRecord();
  await journal.update((changed) => {
    changed.state = "undoing";
    changed.outcome ??= { ok: false, error };
  });
  const { plan } = record;
  const base = { plan, storage, timing: timing(), ...parties };
  const signal = new AbortController().signal;
  const run = { steps: stepsOf(plan), journal, base, display, signal };
  await runSteps(run).catch((thrown) => {
    // `update` changed the record's state, but TypeScript still narrows it to the value checked above.
    if ((journal.record.state as string) === "finished") return;
    const isOfJob = thrown instanceof BlockferryError && thrown.code !== "JobRunning";
    throw isOfJob ? leftBehind(record.job) : thrown;
  });
}

/** Returns the error that replaces the job's own error when resources remain. */
function leftBehind(job: string): BlockferryError {
  return new BlockferryError({
    code: "CleanupIncomplete",
    message: `Some temporary resources of job ${job} could not be removed; the notes above name the failures.`,
    remedy: "Fix these failures, then run `blockferry cleanup` again.",
    object: job,
  });
}

function abandonedError(job: string): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: `Job ${job} was abandoned by the process that ran it, and cleaned up.`,
    remedy: "Start another one; a backup does not store the same data again.",
    object: job,
  });
}
