import { CIPHERTEXT_BYTES } from "../../repository/encryption/aes-gcm-cipher.js";
import { DEFAULT_QUEUE_DEPTH, ioThreads, MAX_IO_THREADS, reservedIoThreads } from "../parallelism.js";
import { expectedMemoryBytes } from "../tune/expected-memory.js";

export interface ServiceSize {
  /** Threads of the largest job. */
  threads: number;
  /** Volumes attached at once. */
  volumes: number;
  /** Size of the repository and a job's volumes together, in bytes. */
  dataBytes: number;
  partBytes: number;
  /** Memory of the machine. */
  memoryBytes: number;
}

export interface ServiceLimits {
  /** For `UV_THREADPOOL_SIZE`. */
  ioThreads: number;
  /** The most memory that a job should need. */
  memoryBytes: number;
}

/** The rest is for the system. */
const MEMORY_SHARE = 0.9;

/**
 * Returns the most I/O threads and memory that a service needs.
 * This allows the default number of reads in flight for every volume, and their memory by the formula of
 * docs/architecture.md for an encrypted repository. There are never fewer I/O threads than the service would
 * start by default.
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
