import { asBlockferryError } from "../foundation/blockferry-error.js";
import { pause } from "./aws/poll.js";
import type { JobPlan } from "./plan.js";
import { beat, contextOf, noteDown, now, type Run } from "./run.js";
import type { Step } from "./steps/step.js";

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
export async function undoAll(run: Run, visibleBy: ReadonlyMap<string, number>): Promise<void> {
  const { display } = run;
  const ended = new AbortController();
  const alive = beat(run, ended.signal);
  display.begin("Removing everything temporary");
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
      display.note(doneAllTheSame(journal.record.plan, point));
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

function doneAllTheSame({ kind }: JobPlan, point: string): string {
  return kind === "backup"
    ? `the agent was done all the same: recovery point ${point} is complete`
    : "the restore was done all the same: what it has made stays";
}
