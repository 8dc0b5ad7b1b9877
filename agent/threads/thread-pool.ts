import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import {
  asBlockferryError,
  BlockferryError,
  type ErrorRecord,
  throwIfInterrupted,
} from "../../foundation/errors.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import { type RunWatcher, StopFlag, type WatchedRun } from "./shared-memory.js";

const STOP_POLL_MS = 50;
/** Time for the other threads to stop when one has died outside its task. Then tasks that wait for it fail. */
const THREAD_LOST_MS = 1000;

/**
 * Small, so that it is collected often and cheaply.
 * Threads receive data in buffers of 64 KiB that hardly count towards V8's heap. With the default size V8
 * marks the whole heap every 64 MiB to free them, which takes a fifth of a restore's CPU time.
 */
const YOUNG_GENERATION_MB = 1;

/** The input that every thread gets in addition to its task. */
export interface ThreadContext {
  /** Number of the thread, from 0. */
  thread: number;
  /** To the main thread: few messages, never one per chunk. */
  port: MessagePort;
  stop: SharedArrayBuffer;
}

/** The `workerData` of a thread. */
export interface ThreadData {
  /** URL of the thread's module. */
  module: string;
  /** The kind of storage the thread will open: its module can load the code for it ahead of time. */
  storage: StorageLocation["kind"];
}

/**
 * The outcome of a thread. Errors are sent as records, because a structured clone would keep only their
 * message.
 */
export type ThreadOutcome<Result> = { result: Result } | { error: ErrorRecord };

export interface ThreadRun<Task, Message> {
  /** The same for every thread: plain data and shared memory. */
  task: Task;
  onMessage?(message: Message): void;
  /** Stops all threads. */
  signal: AbortSignal;
  /** Shows the run. Without it the caller does, if several runs are shown as one. */
  progress?: { watcher: RunWatcher; watched: WatchedRun };
}

/**
 * Piscina threads, each of which does one long task.
 * They start with the pool and load their module while the main thread still reads the index.
 */
export class ThreadPool<Task, Result, Message = never> {
  private pool: Piscina<Task & ThreadContext, ThreadOutcome<Result>>;
  /** Stops the current run when a thread has died outside its task. */
  private onThreadLost: () => void = () => undefined;
  /** An error of a thread outside its task: before the task arrived or after it ended. */
  private idleError: Error | undefined;

  /**
   * @param module its default export is `(task) => threadMain(task, ...)`
   * @param storage the kind of storage that the threads will open
   */
  constructor(
    private readonly module: URL,
    readonly threads: number,
    private readonly storage: StorageLocation["kind"],
  ) {
    this.pool = this.start();
  }

  private start(): Piscina<Task & ThreadContext, ThreadOutcome<Result>> {
    const workerData: ThreadData = { module: this.module.href, storage: this.storage };
    const pool = new Piscina<Task & ThreadContext, ThreadOutcome<Result>>({
      filename: new URL("./thread.cjs", import.meta.url).href,
      minThreads: this.threads,
      maxThreads: this.threads,
      workerData,
      // Between tasks Piscina blocks a thread's event loop in Atomics.wait; these threads have pending I/O.
      atomics: "disabled",
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      recordTiming: false,
    });
    // Without a listener the error would end the process and skip all cleanup.
    pool.on("error", (error: Error) => {
      this.idleError ??= error;
      this.onThreadLost();
    });
    return pool;
  }

  /**
   * Gives every thread its task and waits for all of them.
   * @throws the first failure, after the other threads have stopped; Interrupted if the signal fired
   */
  async run(run: ThreadRun<Task, Message>): Promise<Result[]> {
    throwIfInterrupted(run.signal);
    // Piscina starts such a thread again and again, and its task would wait for ever.
    if (this.idleError !== undefined) throw asBlockferryError(this.idleError);
    const stop = StopFlag.create();
    const lost = new AbortController();
    let losing: NodeJS.Timeout | undefined;
    this.onThreadLost = () => {
      stop.set();
      losing ??= setTimeout(() => lost.abort(), THREAD_LOST_MS);
    };
    const onAbort = () => stop.set();
    run.signal.addEventListener("abort", onAbort);
    run.progress?.watcher.start(run.progress.watched);
    try {
      const outcomes = await Promise.all(
        Array.from({ length: this.threads }, (_, thread) => this.runOne(run, stop, thread, lost.signal)),
      );
      throwIfInterrupted(run.signal);
      if (this.idleError !== undefined)
        outcomes.unshift({ error: asBlockferryError(this.idleError).toRecord() });
      return resultsOf(outcomes);
    } finally {
      clearTimeout(losing);
      run.progress?.watcher.stop();
      run.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Replaces the idle threads with new ones, which frees the memory that they held. */
  async restart(): Promise<void> {
    await this.pool.destroy();
    this.pool = this.start();
  }

  /** Ends the threads; their work is done, or no longer needed. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async runOne(
    run: ThreadRun<Task, Message>,
    stop: StopFlag,
    thread: number,
    lost: AbortSignal,
  ): Promise<ThreadOutcome<Result>> {
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (message: Message) => run.onMessage?.(message));
    const allReceived = once(port1, "close");
    try {
      const context = { ...run.task, thread, port: port2, stop: stop.memory };
      return await this.pool.run(context, { transferList: [port2], signal: lost });
    } catch (error) {
      stop.set();
      // A thread that died before it took the other end never closes it.
      port1.close();
      return { error: asBlockferryError(error).toRecord() };
    } finally {
      await allReceived;
    }
  }
}

/**
 * Returns the results.
 * @throws the first failure; threads interrupted by another's failure report only Interrupted
 */
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
 * The body of a thread's module; stops the other threads if `work` fails.
 * @param work gets a signal that fires when all must stop, to interrupt its waits
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
