import { CIPHERTEXT_BYTES } from "../../repository/encryption/aes-gcm-cipher.js";
import { DEFAULT_QUEUE_DEPTH, ioThreads, MAX_IO_THREADS, reservedIoThreads } from "../parallelism.js";
import { expectedMemoryBytes } from "../tune/expected-memory.js";

export interface ServiceSize {
  /** Of the largest job. */
  threads: number;
  /** Attached at once. */
  volumes: number;
  /** What the repository and a job's volumes hold together. */
  dataBytes: number;
  partBytes: number;
  /** Of the machine. */
  memoryBytes: number;
}

export interface ServiceLimits {
  /** For `UV_THREADPOOL_SIZE`. */
  ioThreads: number;
  /** More than this no job should need. */
  memoryBytes: number;
}

/** The rest is the system's. */
const MEMORY_SHARE = 0.9;

/**
 * What a service needs at most, so that it can be given no more: reads in flight for every volume, as many as a thread has by
 * default, and the memory for them by the formula of docs/architecture.md, for an encrypted repository. Never fewer I/O threads
 * than it would take itself.
 */
export function serviceLimits({ threads, volumes, ...size }: ServiceSize): ServiceLimits {
  const reads = Math.max(threads, volumes) * DEFAULT_QUEUE_DEPTH;
  const pool = Math.min(MAX_IO_THREADS, Math.max(ioThreads(), reads + reservedIoThreads(threads)));
  const queueDepth = (pool - reservedIoThreads(threads)) / threads;
  const { partBytes, dataBytes: sourceBytes } = size;
  const neededBytes = expectedMemoryBytes({
    ...{ threads, queueDepth, partBytes, sourceBytes },
    cipherBytes: CIPHERTEXT_BYTES,
  });
  return { ioThreads: pool, memoryBytes: Math.ceil(Math.min(neededBytes, size.memoryBytes * MEMORY_SHARE)) };
}
