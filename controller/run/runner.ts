import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import { isCancelled } from "../../repository/jobs/job-replies.js";
import type { JobPlan } from "../plan/plan.js";
import { DELIVERY, restoredIds, type Step, type StepContext } from "../steps/step.js";
import type { Journal } from "./journal.js";
import type { JournalRecord } from "./read-journals.js";

/** Shows the progress of a run. */
export interface Display {
  begin(title: string): void;
  /** Shows the progress of the current step. */
  progress(text: string): void;
  end(outcome: "done" | "failed"): void;
  note(text: string): void;
}

export const NO_DISPLAY: Display = {
  begin: () => undefined,
  progress: () => undefined,
  end: () => undefined,
  note: () => undefined,
};

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
  backup: "Start another backup when you want one; it does not store the same data again.",
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
  const remedy = `${error.remedy} Some temporary resources could not be removed: run \`blockferry cleanup\`, or \`blockferry resume ${job}\`.`;
  return new BlockferryError({ ...error, remedy });
}

function cleanupIncomplete(job: string, step: string): BlockferryError {
  return new BlockferryError({
    code: "CleanupIncomplete",
    message: `Job ${job} succeeded, but the resources of step ${step} could not be removed.`,
    remedy: `Fix the problems in the notes above, then run \`blockferry resume ${job}\`: it removes the remaining resources.`,
    object: job,
  });
}

export interface Run {
  steps: Step[];
  journal: Journal;
  /** The shared part of the steps' contexts; each step gets its own signal and display. */
  base: Omit<StepContext, "made" | "delivered" | "signal" | "progress" | "visibleBy">;
  display: Display;
  /** Stops the way forward; everything created is still undone. The loss of the journal stops both ways. */
  signal: AbortSignal;
}

/**
 * Returns the context of one step, limited to the AWS actions that the step declares.
 * @param visibleBy see `StepContext`
 */
function contextOf(
  { base, journal, display }: Run,
  step: Step,
  signal: AbortSignal,
  visibleBy: number,
): StepContext {
  const uses = step.uses(base.plan);
  return {
    ...base,
    source: base.source.limitedTo(uses, signal),
    worker: base.worker.limitedTo(uses, signal),
    made: journal.record.made,
    delivered: deliveredIds(journal.record),
    ...{ signal, visibleBy },
    progress: (text) => display.progress(text),
  };
}

/**
 * Changes the journal on the way back, and only notes a failed write.
 * A failed write must not stop undoing. Everything that the run created is found by its tag, and `cleanup`
 * later corrects an outdated journal.
 * @throws JobRunning when another run has taken the job over and therefore undoes it
 */
async function noteDown({ journal, display }: Run, change: (record: JournalRecord) => void): Promise<void> {
  try {
    await journal.update(change);
  } catch (error) {
    journal.lost.throwIfAborted();
    const { message } = asBlockferryError(error);
    display.note(`the journal cannot be written; \`blockferry cleanup\` repairs it later: ${message}`);
  }
}

/**
 * Writes a heartbeat to the journal and calls `check` until `ended` aborts.
 * A failed write or check is repeated at the next heartbeat.
 */
async function beat({ journal, base }: Run, ended: AbortSignal, check?: () => Promise<void>): Promise<void> {
  while (!ended.aborted) {
    await pause(base.timing.journalMs, ended).catch(() => undefined);
    if (ended.aborted) return;
    await journal.update(() => undefined).catch(() => undefined);
    await check?.().catch(() => undefined);
  }
}

/** Returns the current time in ISO 8601, for the journal. */
function now(): string {
  return new Date().toISOString();
}

/** How often undoing is tried before the rest is left to `blockferry cleanup`. */
const ATTEMPTS = 4;
/** Factor by which the pause grows from one attempt to the next. */
const GROWTH = 3;

/**
 * Undoes every step that may have created something, last step first.
 * When a step cannot be undone, undoing continues with the next step, unless the failed step has
 * `mustUndoFirst`. The time is bounded by the steps' own timeouts; a second interrupt ends the process.
 * @param visibleBy by step name, when everything that the step created is visible; only steps that this run
 * has run
 * @throws JobRunning when another run has taken the job over
 */
async function undoAll(run: Run, visibleBy: ReadonlyMap<string, number>): Promise<void> {
  const { display } = run;
  const ended = new AbortController();
  const alive = beat(run, ended.signal);
  display.begin("Removing all temporary resources");
  let left = run.steps;
  try {
    left = await undoPatiently(run, visibleBy);
  } finally {
    ended.abort();
    await alive;
    display.end(left.length === 0 ? "done" : "failed");
  }
  if (left.length === 0) {
    await noteDown(run, (record) => {
      record.state = "finished";
    });
  }
}

/** @returns the steps that could not be undone */
async function undoPatiently(run: Run, visibleBy: ReadonlyMap<string, number>): Promise<Step[]> {
  let left = await undoSteps(run, visibleBy);
  for (let attempt = 1; left.length > 0 && attempt < ATTEMPTS; attempt++) {
    await pause(run.base.timing.undoPauseMs * GROWTH ** (attempt - 1), run.journal.lost);
    left = await undoSteps(run, visibleBy);
  }
  return left;
}

/** @returns the steps that could not be undone */
async function undoSteps(run: Run, visibleBy: ReadonlyMap<string, number>): Promise<Step[]> {
  const left: Step[] = [];
  for (const step of run.steps.toReversed()) {
    if (await undoStep(run, step, visibleBy.get(step.name))) continue;
    left.push(step);
    if (step.mustUndoFirst === true) break;
  }
  return left;
}

async function undoStep(run: Run, step: Step, visibleBy: number | undefined): Promise<boolean> {
  const { journal, display, base } = run;
  const entry = journal.step(step.name);
  if (entry.state === "pending" || entry.state === "undone") return true;
  // Everything that a completed step created has been seen. Another process may have created something a
  // moment ago.
  const unseenUntil = entry.state === "done" ? 0 : (visibleBy ?? performance.now() + base.timing.visibleMs);
  try {
    journal.lost.throwIfAborted();
    const context = contextOf(run, step, journal.lost, unseenUntil);
    await step.undo(context);
    const point = await step.findPoint?.(context);
    if (point !== undefined && journal.record.outcome?.ok !== true)
      display.note(alreadyFinished(journal.record.plan, point));
    await noteDown(run, (record) => {
      Object.assign(entry, { state: "undone", finishedAt: now() });
      if (point !== undefined)
        Object.assign(record, { outcome: { ok: true, point }, made: { ...record.made, point } });
    });
    return true;
  } catch (error) {
    journal.lost.throwIfAborted();
    display.note(`undoing ${step.name} failed: ${asBlockferryError(error).message}`);
    return false;
  }
}

function alreadyFinished({ kind }: JobPlan, point: string): string {
  return kind === "backup"
    ? `the agent had already finished: recovery point ${point} is complete`
    : "the restore had already finished: its results stay";
}

/**
 * Returns the ids of resources that a restore has certainly handed over.
 * They belong to their owner even if EC2 still shows the old tags, so undoing leaves them alone.
 */
function deliveredIds({ plan, made, steps, outcome }: JournalRecord): ReadonlySet<string> {
  if (plan.kind !== "restore") return new Set();
  const isDone = steps.some(({ name, state }) => name === DELIVERY && state === "done");
  if (!isDone && outcome?.ok !== true) return new Set();
  return new Set([
    ...Object.values(restoredIds(plan, made)),
    ...(made.instanceId === undefined ? [] : [made.instanceId]),
  ]);
}
