import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { asBlockferryError, BlockferryError, type ErrorRecord } from "../errors/blockferry-error.js";
import type { StopFlag } from "./stop-flag.js";

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
  stop: StopFlag;
  onMessage?(message: Message): void;
}

/**
 * Runs one long task on each of `threads` Piscina threads and waits for all of them.
 * @throws the first failure, after the other threads have wound down
 */
export async function runThreads<Task, Result, Message = never>(
  run: ThreadRun<Task, Message>,
): Promise<Result[]> {
  const pool = new Piscina<Task & ThreadContext, ThreadOutcome<Result>>({
    filename: run.module.href,
    minThreads: run.threads,
    maxThreads: run.threads,
    // Between tasks Piscina blocks a thread's event loop in Atomics.wait; these threads have I/O under way.
    atomics: "disabled",
    recordTiming: false,
  });
  try {
    const outcomes = await Promise.all(
      Array.from({ length: run.threads }, (_, thread) => runOne(pool, run, thread)),
    );
    return outcomes.map((outcome) => {
      if ("error" in outcome) throw new BlockferryError(outcome.error);
      return outcome.result;
    });
  } finally {
    await pool.destroy();
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

async function runOne<Task, Result, Message>(
  pool: Piscina<Task & ThreadContext, ThreadOutcome<Result>>,
  run: ThreadRun<Task, Message>,
  thread: number,
): Promise<ThreadOutcome<Result>> {
  const { port1, port2 } = new MessageChannel();
  port1.on("message", (message: Message) => run.onMessage?.(message));
  const allReceived = once(port1, "close");
  try {
    const context = { ...run.task, thread, port: port2, stop: run.stop.memory };
    return await pool.run(context, { transferList: [port2] });
  } catch (error) {
    run.stop.set();
    return { error: asBlockferryError(error).toRecord() };
  } finally {
    await allReceived;
  }
}
