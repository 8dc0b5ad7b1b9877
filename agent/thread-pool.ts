import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { asBlockferryError, BlockferryError, type ErrorRecord } from "../foundation/blockferry-error.js";
import { throwIfInterrupted } from "./interrupted.js";
import type { RunWatcher, WatchedRun } from "./run-watcher.js";
import { StopFlag } from "./stop-flag.js";

/** What every thread is given besides its own task. */
export interface ThreadContext {
  /** Number of the thread, from 0. */
  thread: number;
  /** To the main thread: few messages, never one a chunk. */
  port: MessagePort;
  stop: SharedArrayBuffer;
}

/** How a thread ended. Errors travel as records, because a structured clone would strip them to their message. */
export type ThreadOutcome<Result> = { result: Result } | { error: ErrorRecord };

export interface ThreadRun<Task, Message> {
  /** Module whose default export is `(task) => threadMain(task, ...)`. */
  module: URL;
  threads: number;
  /** The same for every thread: plain data and shared memory. */
  task: Task;
  onMessage?(message: Message): void;
  /** Tells all threads to wind down. */
  signal: AbortSignal;
  watcher: RunWatcher;
  watched: WatchedRun;
}

/**
 * Runs one long task on each of `threads` Piscina threads and waits for all of them.
 * @throws the first failure, after the other threads have wound down; Interrupted when the signal fired
 */
export async function runThreads<Task, Result, Message = never>(
  run: ThreadRun<Task, Message>,
): Promise<Result[]> {
  throwIfInterrupted(run.signal);
  const stop = StopFlag.create();
  const onAbort = () => stop.set();
  run.signal.addEventListener("abort", onAbort);
  run.watcher.start(run.watched);
  try {
    const outcomes = await runAll<Task, Result, Message>(run, stop);
    throwIfInterrupted(run.signal);
    return outcomes.map((outcome) => {
      if ("error" in outcome) throw new BlockferryError(outcome.error);
      return outcome.result;
    });
  } finally {
    run.watcher.stop();
    run.signal.removeEventListener("abort", onAbort);
  }
}

/** The body of a thread's module: tells the others to stop when `work` fails. */
export async function threadMain<Result>(
  context: ThreadContext,
  stop: StopFlag,
  work: () => Promise<Result>,
): Promise<ThreadOutcome<Result>> {
  try {
    return { result: await work() };
  } catch (error) {
    stop.set();
    return { error: asBlockferryError(error).toRecord() };
  } finally {
    context.port.close();
  }
}

async function runAll<Task, Result, Message>(
  run: ThreadRun<Task, Message>,
  stop: StopFlag,
): Promise<ThreadOutcome<Result>[]> {
  const pool = new Piscina<Task & ThreadContext, ThreadOutcome<Result>>({
    filename: run.module.href,
    minThreads: run.threads,
    maxThreads: run.threads,
    // Between tasks Piscina blocks a thread's event loop in Atomics.wait; these threads have I/O under way.
    atomics: "disabled",
    recordTiming: false,
  });
  try {
    return await Promise.all(
      Array.from({ length: run.threads }, (_, thread) => runOne(pool, run, stop, thread)),
    );
  } finally {
    await pool.destroy();
  }
}

async function runOne<Task, Result, Message>(
  pool: Piscina<Task & ThreadContext, ThreadOutcome<Result>>,
  run: ThreadRun<Task, Message>,
  stop: StopFlag,
  thread: number,
): Promise<ThreadOutcome<Result>> {
  const { port1, port2 } = new MessageChannel();
  port1.on("message", (message: Message) => run.onMessage?.(message));
  const allReceived = once(port1, "close");
  try {
    const context = { ...run.task, thread, port: port2, stop: stop.memory };
    return await pool.run(context, { transferList: [port2] });
  } catch (error) {
    stop.set();
    return { error: asBlockferryError(error).toRecord() };
  } finally {
    await allReceived;
  }
}
