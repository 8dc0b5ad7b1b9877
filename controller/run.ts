import { asBlockferryError } from "../foundation/blockferry-error.js";
import { pause } from "./aws/poll.js";
import type { Display } from "./display.js";
import type { Journal } from "./journal.js";
import type { JournalRecord } from "./journal-record.js";
import { deliveredIds } from "./restored.js";
import type { Step, StepContext } from "./steps/step.js";

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
export function contextOf(
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
export async function noteDown(
  { journal, display }: Run,
  change: (record: JournalRecord) => void,
): Promise<void> {
  try {
    await journal.update(change);
  } catch (error) {
    journal.lost.throwIfAborted();
    const { message } = asBlockferryError(error);
    display.note(`the journal cannot be written, \`blockferry cleanup\` mends it later: ${message}`);
  }
}

/**
 * Writes a heartbeat to the journal and calls `check` until `ended` aborts.
 * A failed write or check is repeated at the next heartbeat.
 */
export async function beat(
  { journal, base }: Run,
  ended: AbortSignal,
  check?: () => Promise<void>,
): Promise<void> {
  while (!ended.aborted) {
    await pause(base.timing.journalMs, ended).catch(() => undefined);
    if (ended.aborted) return;
    await journal.update(() => undefined).catch(() => undefined);
    await check?.().catch(() => undefined);
  }
}

/** Returns the current time in ISO 8601, for the journal. */
export function now(): string {
  return new Date().toISOString();
}
