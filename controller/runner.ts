import { asBlockferryError, BlockferryError } from "../foundation/blockferry-error.js";
import { isCancelled } from "../repository/jobs/cancel.js";
import { pause } from "./aws/poll.js";
import type { Display } from "./display.js";
import type { Journal, JournalRecord } from "./journal.js";
import type { Step, StepContext } from "./steps/step.js";

export interface Run {
  steps: Step[];
  journal: Journal;
  /** What the steps work with; each gets its own signal and display. */
  base: Omit<StepContext, "made" | "signal" | "progress">;
  display: Display;
  /** Ends the way forward; what was made is undone all the same. */
  signal: AbortSignal;
}

/** How often undoing is tried before what is left is left to `blockferry cleanup`. */
const UNDO_ATTEMPTS = 3;

/**
 * Does what the journal says is not done yet, then undoes all of it in reverse: after success as after failure nothing
 * temporary stays.
 * @returns the id of the recovery point
 * @throws what made it fail; CleanupIncomplete when it succeeded and something could not be removed
 */
export async function runSteps(run: Run): Promise<string> {
  const { journal } = run;
  if (journal.record.state === "running") await goForward(run);
  if (journal.record.state === "undoing") await undoAll(run);
  const { outcome, job } = journal.record;
  const left = journal.record.steps.filter(({ state }) => state !== "undone" && state !== "pending");
  if (outcome?.ok === false) throw failure(outcome.error, job, left.length > 0);
  if (left.length > 0) throw cleanupIncomplete(job, left[0]?.name ?? "");
  return outcome?.point ?? "";
}

async function goForward(run: Run): Promise<void> {
  const { journal, steps } = run;
  const ended = new AbortController();
  const watched = watch(run, ended.signal);
  const signal = AbortSignal.any([run.signal, watched.signal]);
  try {
    for (const step of steps) await doStep(run, step, signal);
    await turnBack(run, { ok: true, point: journal.record.made.point ?? "" });
  } catch (thrown) {
    await turnBack(run, { ok: false, error: asBlockferryError(thrown).toRecord() });
  } finally {
    ended.abort();
    await watched.ended;
  }
}

/** From here on there is only undoing. */
function turnBack(run: Run, outcome: JournalRecord["outcome"]): Promise<void> {
  return noteDown(run, (record) => Object.assign(record, { state: "undoing", outcome }));
}

/**
 * Changes the journal on the way back, where nothing must stop the run: all that it has made is found by its tag, and a
 * journal that stays as it was is put right by `cleanup`.
 */
async function noteDown({ journal, display }: Run, change: (record: JournalRecord) => void): Promise<void> {
  try {
    await journal.update(change);
  } catch (error) {
    const { message } = asBlockferryError(error);
    display.note(`the journal cannot be written, \`blockferry cleanup\` mends it later: ${message}`);
  }
}

async function doStep(run: Run, step: Step, signal: AbortSignal): Promise<void> {
  const { journal, display } = run;
  const entry = journal.step(step.name);
  if (entry.state === "done") return;
  signal.throwIfAborted();
  display.begin(step.title);
  try {
    await journal.update(() =>
      Object.assign(entry, { state: "running", startedAt: now(), finishedAt: null }),
    );
    const made = await step.make(contextOf(run, step, signal));
    await journal.update((record) => Object.assign(record.made, made));
    const more = await step.wait(contextOf(run, step, signal));
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

/** Undoes every step that may have made something, and goes on to the next where one fails. */
async function undoAll(run: Run): Promise<void> {
  const { display } = run;
  const ended = new AbortController();
  const watched = beat(run, ended.signal);
  display.begin("Removing everything temporary");
  let left = run.steps;
  for (let attempt = 1; attempt <= UNDO_ATTEMPTS; attempt++) {
    left = [];
    for (const step of run.steps.toReversed()) if (!(await undoStep(run, step))) left.push(step);
    if (left.length === 0) break;
  }
  ended.abort();
  await watched;
  display.end(left.length === 0 ? "done" : "failed");
  if (left.length === 0) {
    await noteDown(run, (record) => {
      record.state = "finished";
    });
  }
}

async function undoStep(run: Run, step: Step): Promise<boolean> {
  const { journal, display } = run;
  const entry = journal.step(step.name);
  if (entry.state === "pending" || entry.state === "undone") return true;
  try {
    await step.undo(contextOf(run, step, NEVER));
    await noteDown(run, () => Object.assign(entry, { state: "undone", finishedAt: now() }));
    return true;
  } catch (error) {
    display.note(`undoing ${step.name} failed: ${asBlockferryError(error).message}`);
    return false;
  }
}

/** Undoing is bounded by its own timeouts; whoever interrupts it a second time ends the process. */
const NEVER = new AbortController().signal;

function contextOf({ base, journal, display }: Run, step: Step, signal: AbortSignal): StepContext {
  const uses = step.uses(base.plan);
  return {
    ...base,
    source: base.source.limitedTo(uses),
    worker: base.worker.limitedTo(uses),
    made: journal.record.made,
    signal,
    progress: (text) => display.progress(text),
  };
}

/** Says in the journal that the run lives, and fires when somebody cancels the job. */
function watch(run: Run, ended: AbortSignal): { signal: AbortSignal; ended: Promise<void> } {
  const cancelled = new AbortController();
  const check = async () => {
    if (await isCancelled(run.base.storage, run.journal.record.job)) cancelled.abort(cancelledError(run));
  };
  return { signal: cancelled.signal, ended: beat(run, ended, check) };
}

/** A heartbeat that cannot be written or a question that is not answered is tried again with the next one. */
async function beat({ journal, base }: Run, ended: AbortSignal, check?: () => Promise<void>): Promise<void> {
  while (!ended.aborted) {
    await pause(base.timing.journalMs, ended).catch(() => undefined);
    if (ended.aborted) return;
    await journal.update(() => undefined).catch(() => undefined);
    await check?.().catch(() => undefined);
  }
}

function now(): string {
  return new Date().toISOString();
}

function cancelledError({ journal }: Run): BlockferryError {
  return new BlockferryError({
    code: "Cancelled",
    message: `Job ${journal.record.job} was cancelled.`,
    remedy: "Start another backup when you want one; it does not store again what this one has stored.",
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
    message: `Job ${job} made its recovery point, but what step ${step} made could not be removed.`,
    remedy: `Mend what the notes above name, then run \`blockferry resume ${job}\`: it removes what is left.`,
    object: job,
  });
}
