import * as crypto from "node:crypto";

/** Size of every chunk except the last of a volume: the block size of EBS snapshots. */
export const CHUNK_BYTES = 512 * 1024;

export const CHUNK_ID_BYTES = 32;

/** Stands for a chunk of zeros in a block map. Such a chunk is never stored. */
export const ZERO_CHUNK_ID = Buffer.alloc(CHUNK_ID_BYTES);

/**
 * Returns a chunk's id in an unencrypted repository: the SHA-256 of its plaintext, 32 bytes. `Cipher.chunkId`
 * returns the id for any repository.
 */
export function chunkId(payload: Buffer): Buffer {
  return crypto.hash("sha256", payload, "buffer");
}

export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}
