import { asBlockferryError, BlockferryError, type ErrorRecord } from "../foundation/blockferry-error.js";
import type { Storage } from "../repository/storage/storage.js";
import type { Display } from "./display.js";
import { isAlive, Journal } from "./journal.js";
import type { JournalRecord } from "./journal-record.js";
import { removeOldJobs } from "./old-jobs.js";
import type { Parties } from "./parties.js";
import type { JobPlan } from "./plan.js";
import { readJournals } from "./read-journals.js";
import { runSteps } from "./runner.js";
import { timing } from "./timing.js";
import { stepsOf } from "./workflow.js";

export interface CleanupOptions {
  storage: Storage;
  olderThanMs: number;
  display: Display;
  reopenParties(plan: JobPlan): Promise<Parties>;
}

export interface CleanupReport {
  /** Jobs whose temporary resources were removed. */
  cleaned: string[];
  /** Jobs that still run, or have stopped too short a time ago. */
  left: string[];
  problems: ErrorRecord[];
  /** Jobs finished long ago, whose documents were removed from the repository. */
  removed: string[];
}

/** The unfinished jobs of a repository. */
export interface UnfinishedJobs {
  /** Their run has ended without removing everything: their journals say so. */
  abandoned: JournalRecord[];
  /** They still run, or have stopped too short a time ago. */
  left: string[];
  /** Journals that cannot be read: what these jobs have left is unknown. */
  problems: ErrorRecord[];
}

/** @throws what the storage throws when it cannot list */
export async function unfinishedJobs(storage: Storage, olderThanMs: number): Promise<UnfinishedJobs> {
  const { records, problems } = await readJournals(storage);
  const unfinished = records.filter(({ state }) => state !== "finished");
  const isAbandoned = (record: JournalRecord) =>
    Date.now() - Date.parse(record.updatedAt) >= olderThanMs && !isAlive(record, timing().heartbeatMs);
  return {
    abandoned: unfinished.filter(isAbandoned),
    left: unfinished.filter((record) => !isAbandoned(record)).map(({ job }) => job),
    problems,
  };
}

/**
 * Removes, in both accounts, what carries the tag of an abandoned job, and nothing else; and from the repository the documents of
 * jobs that are long finished.
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanupReport> {
  const { storage, olderThanMs } = options;
  const { abandoned, left, problems } = await unfinishedJobs(storage, olderThanMs);
  const report: CleanupReport = { cleaned: [], left, problems, removed: [] };
  for (const record of abandoned) {
    try {
      await abandon(record, options);
      report.cleaned.push(record.job);
    } catch (thrown) {
      const error = asBlockferryError(thrown);
      // Somebody else has taken it up since it was listed.
      if (error.code === "JobRunning") report.left.push(record.job);
      else report.problems.push(error.toRecord());
    }
  }
  try {
    report.removed = await removeOldJobs(storage);
  } catch (thrown) {
    report.problems.push(asBlockferryError(thrown).toRecord());
  }
  return report;
}

async function abandon(record: JournalRecord, options: CleanupOptions): Promise<void> {
  const { storage, display } = options;
  const parties = await options.reopenParties(record.plan);
  const journal = await Journal.takeOver(storage, record.job, timing().heartbeatMs);
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
    // `update` changed the record's state, which the type of the line above cannot know.
    if ((journal.record.state as string) === "finished") return;
    const isOfJob = thrown instanceof BlockferryError && thrown.code !== "JobRunning";
    throw isOfJob ? leftBehind(record.job) : thrown;
  });
}

/** In place of the error that the job itself ended with. */
function leftBehind(job: string): BlockferryError {
  return new BlockferryError({
    code: "CleanupIncomplete",
    message: `Not everything temporary that job ${job} has made could be removed; the notes above say what failed.`,
    remedy: "Mend what they name, then run `blockferry cleanup` again.",
    object: job,
  });
}

function abandonedError(job: string): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: `Job ${job} was abandoned by the process that ran it, and cleaned up.`,
    remedy: "Start another one; a backup does not store again what this one has stored.",
    object: job,
  });
}
