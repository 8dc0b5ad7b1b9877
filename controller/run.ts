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
  /** What the steps work with; each gets its own signal and display. */
  base: Omit<StepContext, "made" | "delivered" | "signal" | "progress" | "visibleBy">;
  display: Display;
  /** Ends the way forward; what was made is undone all the same. A journal that is lost ends both ways. */
  signal: AbortSignal;
}

/** @param visibleBy as the context has it */
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
 * Changes the journal on the way back, where nothing must stop the run: all that it has made is found by its tag, and a
 * journal that stays as it was is put right by `cleanup`.
 * @throws JobRunning when another run has taken the job over: the way back is that run's
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

/** A heartbeat that cannot be written or a question that is not answered is tried again with the next one. */
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

/** For the journal. */
export function now(): string {
  return new Date().toISOString();
}
