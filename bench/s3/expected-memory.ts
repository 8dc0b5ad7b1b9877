import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { PART_BUFFERS } from "../../repository/pack-writer.js";
import { PART_BYTES } from "./upload-ways.js";

const MIB = 2 ** 20;
/** Node, V8, the agent's code and the SDK's, once; and what each thread has of them. */
const PROCESS_BYTES = 70 * MIB;
const THREAD_BYTES = 32 * MIB;
/** An index entry and its buckets, and the volume's reference to it. */
const BYTES_PER_CHUNK = 62 + 4;

/** What a backup to S3 takes, by the formula of docs/architecture.md. The main thread writes packs of block maps, too. */
export function expectedMemoryBytes(threads: number, queueDepth: number, sourceBytes: number): number {
  const slots = threads * queueDepth * CHUNK_BYTES;
  const parts = (threads + 1) * PART_BUFFERS * (PART_BYTES + CHUNK_BYTES);
  const index = (sourceBytes / CHUNK_BYTES) * BYTES_PER_CHUNK;
  return PROCESS_BYTES + threads * THREAD_BYTES + slots + parts + index;
}
