import { asBlockferryError } from "../foundation/blockferry-error.js";
import { pause } from "./aws/poll.js";
import type { JobPlan } from "./plan.js";
import { beat, contextOf, noteDown, now, type Run } from "./run.js";
import type { Step } from "./steps/step.js";

/** How often undoing is tried before what is left is left to `blockferry cleanup`. */
const ATTEMPTS = 4;
/** From one try to the next the pause grows by this. */
const GROWTH = 3;

/**
 * Undoes every step that may have made something, the last one first, and goes on to the next where one fails and need not be
 * undone first. It is bounded by its own timeouts; whoever interrupts it a second time ends the process.
 * @param visibleBy by step, when what it has made is visible; for those that this run has taken
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

/** @returns those that could not be undone */
async function undoPatiently(run: Run, visibleBy: ReadonlyMap<string, number>): Promise<Step[]> {
  let left = await undoSteps(run, visibleBy);
  for (let attempt = 1; left.length > 0 && attempt < ATTEMPTS; attempt++) {
    await pause(run.base.timing.undoPauseMs * GROWTH ** (attempt - 1), run.journal.lost);
    left = await undoSteps(run, visibleBy);
  }
  return left;
}

/** @returns those that could not be undone */
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
  // What a step that ended well has made was seen. What another process made, it may have made a moment ago.
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
