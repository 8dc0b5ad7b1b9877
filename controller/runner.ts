import { asBlockferryError, BlockferryError } from "../foundation/blockferry-error.js";
import { isCancelled } from "../repository/jobs/cancel.js";
import type { JournalRecord } from "./journal-record.js";
import { beat, contextOf, noteDown, now, type Run } from "./run.js";
import type { Step } from "./steps/step.js";
import { undoAll } from "./undo.js";

/**
 * Runs the unfinished steps of a job, then undoes all steps in reverse.
 * After success and after failure no temporary resource stays.
 * @returns id of the recovery point that was made or restored
 * @throws the error of the failed step; CleanupIncomplete when the job succeeded but a resource could not be
 * removed; JobRunning when another run has taken the job over and therefore undoes it
 */
export async function runSteps(run: Run): Promise<string> {
  const { journal } = run;
  const visibleBy = new Map<string, number>();
  if (journal.record.state === "running") await goForward(run, visibleBy);
  if (journal.record.state === "undoing") await undoAll(run, visibleBy);
  const { outcome, job } = journal.record;
  const left = journal.record.steps.filter(({ state }) => state !== "undone" && state !== "pending");
  if (outcome?.ok === false) throw failure(outcome.error, job, left.length > 0);
  if (left.length > 0) throw cleanupIncomplete(job, left[0]?.name ?? "");
  return outcome?.point ?? "";
}

async function goForward(run: Run, visibleBy: Map<string, number>): Promise<void> {
  const { journal, steps } = run;
  const ended = new AbortController();
  const watched = watch(run, ended.signal);
  const signal = AbortSignal.any([run.signal, watched.signal, journal.lost]);
  try {
    for (const step of steps) await doStep(run, step, signal, visibleBy);
    await turnBack(run, { ok: true, point: journal.record.made.point ?? "" });
  } catch (thrown) {
    journal.lost.throwIfAborted();
    await turnBack(run, { ok: false, error: asBlockferryError(thrown).toRecord() });
  } finally {
    ended.abort();
    await watched.ended;
  }
}

/** Records the outcome; from here on the run only undoes. */
function turnBack(run: Run, outcome: JournalRecord["outcome"]): Promise<void> {
  return noteDown(run, (record) => Object.assign(record, { state: "undoing", outcome }));
}

/**
 * Runs one step and records its state in the journal.
 * @param visibleBy receives, by step name, the time when everything that the step created is visible
 */
async function doStep(
  run: Run,
  step: Step,
  signal: AbortSignal,
  visibleBy: Map<string, number>,
): Promise<void> {
  const { journal, display, base } = run;
  const entry = journal.step(step.name);
  if (entry.state === "done") return;
  signal.throwIfAborted();
  display.begin(step.title);
  const soon = () => performance.now() + base.timing.visibleMs;
  // A run that died in this step may have created a resource a moment ago.
  const before = entry.state === "pending" ? 0 : soon();
  try {
    await journal.update(() =>
      Object.assign(entry, { state: "running", startedAt: now(), finishedAt: null }),
    );
    const made = await step
      .make(contextOf(run, step, signal, before))
      .finally(() => visibleBy.set(step.name, soon()));
    await journal.update((record) => Object.assign(record.made, made));
    const more = await step.wait(contextOf(run, step, signal, soon()));
    await journal.update((record) => {
      Object.assign(record.made, more);
      Object.assign(entry, { state: "done", finishedAt: now() });
    });
    display.end("done");
  } catch (error) {
    display.end("failed");
    await noteDown(run, () => Object.assign(entry, { state: "failed", finishedAt: now() }));
    throw error;
  }
}

/** Keeps the heartbeat of the run in the journal, and aborts when the job is cancelled. */
function watch(run: Run, ended: AbortSignal): { signal: AbortSignal; ended: Promise<void> } {
  const cancelled = new AbortController();
  const check = async () => {
    if (await isCancelled(run.base.storage, run.journal.record.job)) cancelled.abort(cancelledError(run));
  };
  return { signal: cancelled.signal, ended: beat(run, ended, check) };
}

const REMEDIES = {
  backup: "Start another backup when you want one; it does not store again what this one has stored.",
  restore: "Start another restore when you want one; nothing of this one is left.",
};

function cancelledError({ journal }: Run): BlockferryError {
  return new BlockferryError({
    code: "Cancelled",
    message: `Job ${journal.record.job} was cancelled.`,
    remedy: REMEDIES[journal.record.plan.kind],
    object: journal.record.job,
  });
}

type FailureRecord = Extract<NonNullable<JournalRecord["outcome"]>, { ok: false }>["error"];

function failure(error: FailureRecord, job: string, leftBehind: boolean): BlockferryError {
  if (!leftBehind) return new BlockferryError(error);
  const remedy = `${error.remedy} Something temporary could not be removed: run \`blockferry cleanup\`, or \`blockferry resume ${job}\`.`;
  return new BlockferryError({ ...error, remedy });
}

function cleanupIncomplete(job: string, step: string): BlockferryError {
  return new BlockferryError({
    code: "CleanupIncomplete",
    message: `Job ${job} did what it was to do, but what step ${step} made could not be removed.`,
    remedy: `Mend what the notes above name, then run \`blockferry resume ${job}\`: it removes what is left.`,
    object: job,
  });
}
