import { crc32 } from "node:zlib";
import { encodeChunk } from "../../repository/chunk-codec.js";
import { CHUNK_BYTES, chunkId } from "../../repository/chunk-id.js";
import { cpuSecondsSince } from "./cpu-time.js";

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** The bytes of chunks that one core processed, and the CPU seconds it took. */
export interface Computing {
  /** Bytes of chunks that are not zeros, which must be hashed. */
  hashedBytes: number;
  /** Bytes of new chunks, which must be compressed. */
  compressedBytes: number;
  /** Their bytes after compression, which must be written. */
  storedBytes: number;
  hashSeconds: number;
  compressSeconds: number;
}

/**
 * Hashes and compresses chunks like a backup; the data are in memory before the measurement.
 * @param output memory for one chunk
 * @param known ids of the chunks so far; new ones are added
 */
export function hashAndCompress(bytes: Buffer, output: Buffer, known: Set<string>): Computing {
  const chunks = chunksOf(bytes).filter((chunk) => !chunk.equals(ZEROS.subarray(0, chunk.length)));
  const hashing = process.cpuUsage();
  const ids = chunks.map(chunkId);
  const hashSeconds = cpuSecondsSince(hashing);
  const fresh = chunks.filter((_, number) => isNew((ids[number] as Buffer).toString("hex"), known));
  const compressing = process.cpuUsage();
  let storedBytes = 0;
  for (const chunk of fresh) {
    const encodedBytes = encodeChunk(chunk, output, 0, "lz4");
    crc32(output.subarray(0, encodedBytes));
    storedBytes += encodedBytes;
  }
  const compressSeconds = cpuSecondsSince(compressing);
  return {
    ...{ hashSeconds, compressSeconds, storedBytes },
    hashedBytes: totalBytes(chunks),
    compressedBytes: totalBytes(fresh),
  };
}

function isNew(id: string, known: Set<string>): boolean {
  const before = known.size;
  return known.add(id).size > before;
}

function chunksOf(bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function totalBytes(chunks: Buffer[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
}
