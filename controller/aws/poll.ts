import { setTimeout as delay } from "node:timers/promises";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Timing } from "../timing.js";

export interface Wait {
  /** The awaited state; it completes the sentence "gave up waiting for ...". */
  what: string;
  object: string;
  timeoutMs: number;
  timing: Timing;
  signal: AbortSignal;
}

/** What the functions of this folder need to know of the job that they work for. */
export interface JobContext {
  plan: { jobId: string };
  timing: Timing;
  signal: AbortSignal;
  /**
   * Time when everything that the job has created is certainly visible, by `performance.now()`.
   * Until then a resource may exist although EC2 does not show it.
   */
  visibleBy: number;
  /** Ids of resources that a restore has handed over; undoing leaves them alone. */
  delivered: ReadonlySet<string>;
  /** Shows the progress of the current step. */
  progress(text: string): void;
}

export function waitFor(context: JobContext, what: string, object: string, timeoutMs: number): Wait {
  return { what, object, timeoutMs, timing: context.timing, signal: context.signal };
}

const GROWTH = 1.5;

/**
 * Calls `ask` with growing pauses until it returns an answer.
 * @param ask returns undefined until an answer is available
 * @throws WaitTimedOut; the signal's reason soon after it aborts
 */
export async function poll<T>(wait: Wait, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + wait.timeoutMs;
  let pauseMs = wait.timing.pollMs;
  for (;;) {
    wait.signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw timedOut(wait);
    await pause(pauseMs, wait.signal);
    pauseMs = Math.min(pauseMs * GROWTH, wait.timing.maxPollMs);
  }
}

/** Waits like `delay`, but rejects with the signal's reason instead of an AbortError. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch {
    signal?.throwIfAborted();
  }
}

function timedOut({ what, object, timeoutMs }: Wait): BlockferryError {
  return new BlockferryError({
    code: "WaitTimedOut",
    message: `Gave up waiting for ${what} after ${Math.round(timeoutMs / 1000)} s.`,
    remedy: `Look at ${object} in the EC2 console; AWS may be slow today (health.aws.amazon.com). Then run it again.`,
    object,
  });
}
