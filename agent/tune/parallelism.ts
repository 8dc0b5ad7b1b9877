import { checkWholeNumber, chooseThreads, usage } from "../../command-line/options.js";

export const DEFAULT_QUEUE_DEPTH = 16;
/** The most that libuv accepts (MAX_THREADPOOL_SIZE in src/threadpool.c). */
export const MAX_IO_THREADS = 1024;

/** How many threads and reads a backup uses at once. */
export interface Parallelism {
  threads: number;
  /** Reads in flight per thread. */
  queueDepth: number;
}

/**
 * Returns the requested parallelism, or defaults that the I/O threads allow.
 * Every read in flight occupies a thread of libuv's pool, whose size is fixed when the process starts.
 * @throws Usage
 */
export function chooseParallelism(
  wantedThreads: number | undefined,
  wantedQueueDepth: number | undefined,
): Parallelism {
  const threads = chooseThreads(wantedThreads);
  const possible = mostReads(threads);
  const queueDepth = wantedQueueDepth ?? Math.max(1, Math.min(DEFAULT_QUEUE_DEPTH, possible));
  checkWholeNumber("queue-depth", queueDepth, 1, 256);
  if (queueDepth <= possible) return { threads, queueDepth };
  const needed = threads * queueDepth + reservedIoThreads(threads);
  throw usage(
    `${threads} threads with ${queueDepth} reads each need ${needed} I/O threads; this process has ${ioThreads()}.`,
    needed <= MAX_IO_THREADS
      ? `Lower --queue-depth or --threads, or set the environment variable UV_THREADPOOL_SIZE=${needed}`
      : `Lower --queue-depth or --threads: Node has at most ${MAX_IO_THREADS} I/O threads.`,
  );
}

/** Returns the most reads that each thread can have in flight. */
export function mostReads(threads: number): number {
  return Math.floor((ioThreads() - reservedIoThreads(threads)) / threads);
}

/**
 * Checks UV_THREADPOOL_SIZE: libuv reads a non-number as 1 and caps larger values, and only slowness would
 * show it.
 * @throws Usage
 */
export function checkIoThreads(): void {
  const given = process.env.UV_THREADPOOL_SIZE ?? "";
  if (/^\d{1,4}$/.test(given) && Number(given) >= 1 && Number(given) <= MAX_IO_THREADS) return;
  throw usage(
    `UV_THREADPOOL_SIZE is "${given}" in the environment; it must be a whole number from 1 to ${MAX_IO_THREADS}.`,
    "Set it to such a number, or unset it: the agent then chooses a number for the machine.",
  );
}

/** Returns the number of threads in libuv's pool. */
export function ioThreads(): number {
  return Number(process.env.UV_THREADPOOL_SIZE);
}

/** Returns the I/O threads kept for work other than device reads: writes, name lookups, and the like. */
export function reservedIoThreads(threads: number): number {
  return 8 + 4 * threads;
}
