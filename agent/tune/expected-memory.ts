import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { PART_BUFFERS } from "../../repository/pack-writer.js";

const MIB = 2 ** 20;
/** Part size of a repository in S3, the usual kind. */
export const USUAL_PART_BYTES = 8 * MIB;
/** Node, V8 and the code of the agent and the SDK, once per process; then the share of each thread. */
const PROCESS_BYTES = 70 * MIB;
const THREAD_BYTES = 32 * MIB;
/** An index entry and its buckets, and the volume's reference to it. */
const BYTES_PER_CHUNK = 62 + 4;

export interface BackupSize {
  threads: number;
  /** Reads in flight per thread. */
  queueDepth: number;
  partBytes: number;
  sourceBytes: number;
  /** `bytesPerThread` of the repository's cipher. */
  cipherBytes: number;
}

/**
 * Returns the memory of a backup in bytes, by the formula of docs/architecture.md.
 * The main thread also writes packs, for block maps.
 */
export function expectedMemoryBytes({ threads, queueDepth, ...size }: BackupSize): number {
  const { partBytes, sourceBytes, cipherBytes } = size;
  const slots = threads * queueDepth * CHUNK_BYTES;
  const parts = (threads + 1) * PART_BUFFERS * (partBytes + CHUNK_BYTES);
  const index = (sourceBytes / CHUNK_BYTES) * BYTES_PER_CHUNK;
  return PROCESS_BYTES + threads * (THREAD_BYTES + cipherBytes) + slots + parts + index;
}
