import { BlockferryError } from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import { isNotFound } from "./aws-errors.js";

interface Wait {
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

function timedOut({ what, object, timeoutMs }: Wait): BlockferryError {
  return new BlockferryError({
    code: "WaitTimedOut",
    message: `Gave up waiting for ${what} after ${Math.round(timeoutMs / 1000)} s.`,
    remedy: `Look at ${object} in the EC2 console; AWS may be slow today (health.aws.amazon.com). Then run it again.`,
    object,
  });
}

/** Repeats a call while EC2 does not know an id that it returned a moment ago. */
export async function untilVisible<T>(wait: Wait, call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + wait.timing.visibleMs;
  const { answer } = await poll({ ...wait, timeoutMs: wait.timing.visibleMs * 2 }, async () => {
    try {
      return { answer: await call() };
    } catch (error) {
      if (isNotFound(error) && performance.now() < deadline) return undefined;
      throw error;
    }
  });
  return answer;
}

/** Poll intervals and timeouts, in milliseconds. */
interface Timing {
  /** First pause between two polls; it grows to `maxPollMs`. */
  pollMs: number;
  maxPollMs: number;
  /** How long an AWS call may take before it is repeated. */
  callMs: number;
  /** How long AWS or the network may fail without interruption. */
  outageMs: number;
  /** How long EC2 may not know an id that it has just returned (EC2: "Eventual consistency"). */
  visibleMs: number;
  /** Timeout for snapshots and copies; large volumes take hours. */
  snapshotMs: number;
  /** Timeout for everything else that EC2 does within minutes. */
  resourceMs: number;
  /** Time without a new heartbeat after which the agent is lost. */
  heartbeatMs: number;
  /** How long an agent may take to find its job; a launched worker has to start first. */
  agentStartMs: number;
  /** How long an agent that still sends heartbeats may take to release the devices after a cancel request. */
  agentStopMs: number;
  /** Pause before undoing is repeated; it grows with each attempt. */
  undoPauseMs: number;
  /** Interval of a run's heartbeat in its journal. */
  journalMs: number;
}

const MINUTE_MS = 60_000;

/** Returns the default timing; tests shorten it through environment variables. */
export function timing(env: NodeJS.ProcessEnv = process.env): Timing {
  const number = (name: string, otherwise: number) => Number(env[name]) || otherwise;
  const heartbeatMs = number("BLOCKFERRY_HEARTBEAT_TIMEOUT_MS", MINUTE_MS);
  const pollMs = number("BLOCKFERRY_POLL_MS", 1000);
  const resourceMs = number("BLOCKFERRY_RESOURCE_TIMEOUT_MS", 10 * MINUTE_MS);
  return {
    pollMs,
    maxPollMs: pollMs * 15,
    callMs: number("BLOCKFERRY_CALL_TIMEOUT_MS", MINUTE_MS),
    // The storage reads the same variable.
    outageMs: number("BLOCKFERRY_OUTAGE_TIMEOUT_MS", 5 * MINUTE_MS),
    visibleMs: number("BLOCKFERRY_VISIBLE_TIMEOUT_MS", MINUTE_MS),
    snapshotMs: number("BLOCKFERRY_SNAPSHOT_TIMEOUT_MS", 72 * 60 * MINUTE_MS),
    resourceMs,
    heartbeatMs,
    agentStartMs: number("BLOCKFERRY_AGENT_START_TIMEOUT_MS", heartbeatMs * 10),
    agentStopMs: resourceMs,
    undoPauseMs: pollMs * 5,
    journalMs: Math.min(10_000, heartbeatMs / 3),
  };
}
