import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { asBlockferryError, BlockferryError, type ErrorRecord } from "../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../foundation/interrupted.js";
import type { StorageLocation } from "../repository/storage/storage.js";
import type { RunWatcher, WatchedRun } from "./run-watcher.js";
import { StopFlag } from "./stop-flag.js";

const STOP_POLL_MS = 50;

/**
 * Small, so that it is collected often and cheaply. What a thread receives comes in buffers of 64 KiB that take next to nothing
 * of V8's heap: with the default size V8 marks the whole heap every 64 MiB to be rid of them, a fifth of a restore's CPU time.
 */
const YOUNG_GENERATION_MB = 1;

/** What every thread is given besides its own task. */
export interface ThreadContext {
  /** Number of the thread, from 0. */
  thread: number;
  /** To the main thread: few messages, never one a chunk. */
  port: MessagePort;
  stop: SharedArrayBuffer;
}

/** What a thread finds as its `workerData`. */
export interface ThreadData {
  /** URL of the thread's module. */
  module: string;
  /** What the thread will open: its module can load the code for that ahead. */
  storage: StorageLocation["kind"];
}

/** How a thread ended. Errors travel as records, because a structured clone would strip them to their message. */
export type ThreadOutcome<Result> = { result: Result } | { error: ErrorRecord };

export interface ThreadRun<Task, Message> {
  /** The same for every thread: plain data and shared memory. */
  task: Task;
  onMessage?(message: Message): void;
  /** Tells all threads to wind down. */
  signal: AbortSignal;
  watcher: RunWatcher;
  watched: WatchedRun;
}

/**
 * Piscina threads, each of which does one long task. They start with the pool and load their module while the main thread
 * still reads the index.
 */
export class ThreadPool<Task, Result, Message = never> {
  private readonly pool: Piscina<Task & ThreadContext, ThreadOutcome<Result>>;

  /**
   * @param module its default export is `(task) => threadMain(task, ...)`
   * @param storage what the threads will open
   */
  constructor(
    module: URL,
    readonly threads: number,
    storage: StorageLocation["kind"],
  ) {
    const workerData: ThreadData = { module: module.href, storage };
    this.pool = new Piscina({
      filename: new URL("./thread.cjs", import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      workerData,
      // Between tasks Piscina blocks a thread's event loop in Atomics.wait; these threads have I/O under way.
      atomics: "disabled",
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      recordTiming: false,
    });
  }

  /**
   * Gives every thread its task and waits for all of them.
   * @throws the first failure, after the other threads have wound down; Interrupted when the signal fired
   */
  async run(run: ThreadRun<Task, Message>): Promise<Result[]> {
    throwIfInterrupted(run.signal);
    const stop = StopFlag.create();
    const onAbort = () => stop.set();
    run.signal.addEventListener("abort", onAbort);
    run.watcher.start(run.watched);
    try {
      const outcomes = await Promise.all(
        Array.from({ length: this.threads }, (_, thread) => this.runOne(run, stop, thread)),
      );
      throwIfInterrupted(run.signal);
      return resultsOf(outcomes);
    } finally {
      run.watcher.stop();
      run.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends the threads; what they do is over by then, or not to be waited for. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async runOne(
    run: ThreadRun<Task, Message>,
    stop: StopFlag,
    thread: number,
  ): Promise<ThreadOutcome<Result>> {
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (message: Message) => run.onMessage?.(message));
    const allReceived = once(port1, "close");
    try {
      const context = { ...run.task, thread, port: port2, stop: stop.memory };
      return await this.pool.run(context, { transferList: [port2] });
    } catch (error) {
      stop.set();
      return { error: asBlockferryError(error).toRecord() };
    } finally {
      await allReceived;
    }
  }
}

/** @throws the first failure; a thread that another's failure has interrupted only says that it was */
function resultsOf<Result>(outcomes: ThreadOutcome<Result>[]): Result[] {
  const results: Result[] = [];
  const errors: ErrorRecord[] = [];
  for (const outcome of outcomes) {
    if ("error" in outcome) errors.push(outcome.error);
    else results.push(outcome.result);
  }
  const error = errors.find(({ code }) => code !== "Interrupted") ?? errors[0];
  if (error !== undefined) throw new BlockferryError(error);
  return results;
}

/**
 * The body of a thread's module: tells the others to stop when `work` fails.
 * @param work is given a signal that fires when all are to stop, for what it waits for
 */
export async function threadMain<Result>(
  context: ThreadContext,
  stop: StopFlag,
  work: (stopped: AbortSignal) => Promise<Result>,
): Promise<ThreadOutcome<Result>> {
  const stopped = new AbortController();
  const watch = setInterval(() => stop.isSet && stopped.abort(), STOP_POLL_MS);
  try {
    return { result: await work(stopped.signal) };
  } catch (error) {
    stop.set();
    return { error: asBlockferryError(error).toRecord() };
  } finally {
    clearInterval(watch);
    context.port.close();
  }
}
