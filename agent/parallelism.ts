import { checkWholeNumber, chooseThreads, usage } from "../command-line/options.js";

export const DEFAULT_QUEUE_DEPTH = 16;
/** libuv takes no more (MAX_THREADPOOL_SIZE in src/threadpool.c). */
export const MAX_IO_THREADS = 1024;

/** How much of a backup goes on at once. */
export interface Parallelism {
  threads: number;
  /** Reads in flight, for each thread. */
  queueDepth: number;
}

/**
 * What is asked for, or the defaults as far as the I/O threads go: every read in flight holds a thread of libuv's pool, whose
 * size is fixed when the process starts. @throws Usage
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
      : `Lower --queue-depth or --threads: Node has no more than ${MAX_IO_THREADS} I/O threads.`,
  );
}

/** The most reads that so many threads can each have in flight. */
export function mostReads(threads: number): number {
  return Math.floor((ioThreads() - reservedIoThreads(threads)) / threads);
}

/** libuv takes what is no number for 1, and more for the most, and neither would be seen but as slowness. @throws Usage */
export function checkIoThreads(): void {
  const given = process.env.UV_THREADPOOL_SIZE ?? "";
  if (/^\d{1,4}$/.test(given) && Number(given) >= 1 && Number(given) <= MAX_IO_THREADS) return;
  throw usage(
    `UV_THREADPOOL_SIZE is "${given}" in the environment; it must be a whole number from 1 to ${MAX_IO_THREADS}.`,
    "Set it to such a number, or unset it: the agent then takes what suits the machine.",
  );
}

/** Of libuv's pool. */
export function ioThreads(): number {
  return Number(process.env.UV_THREADPOOL_SIZE);
}

/** For all that is not a read of a device: writes, look-ups of names, and the like. */
export function reservedIoThreads(threads: number): number {
  return 8 + 4 * threads;
}
