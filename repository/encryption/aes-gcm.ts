import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";

/** AES-256 in Galois/Counter Mode (NIST SP 800-38D), with nonces of 96 and tags of 128 bits. */
const ALGORITHM = "aes-256-gcm";
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** For a key that encrypts one message and never another. */
export const ONLY_NONCE = Buffer.alloc(NONCE_BYTES);

/**
 * Node gives the result of each step a buffer of its own. Those of 128 KiB and more come fresh from the kernel, page by page, which
 * costs a third of the time of a chunk; small ones are memory that has just been used.
 */
const STEP_BYTES = 32 * 1024;

export interface MessageKey {
  key: KeyObject;
  nonce: Buffer;
  /** What is authenticated besides. */
  context?: Buffer;
}

/** @param into where ciphertext and tag go: as many bytes as `plain`, and 16 more; it may begin where `plain` does */
export function encryptInto(into: Buffer, plain: Uint8Array, { key, nonce, context }: MessageKey): void {
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  if (context !== undefined) cipher.setAAD(context);
  const length = plain.length;
  for (let at = 0; at < length; at += STEP_BYTES) {
    cipher.update(plain.subarray(at, at + STEP_BYTES)).copy(into, at);
  }
  cipher.final();
  cipher.getAuthTag().copy(into, length);
}

/**
 * @param into takes the plaintext, which must not be used unless it is returned
 * @returns a view of `into`; undefined unless ciphertext, tag, nonce and context are those that were written
 */
export function decryptInto(
  into: Buffer,
  sealed: Buffer,
  { key, nonce, context }: MessageKey,
): Buffer | undefined {
  const length = sealed.length - TAG_BYTES;
  if (length < 0 || length > into.length) return undefined;
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  if (context !== undefined) decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(length));
  for (let at = 0; at < length; at += STEP_BYTES) {
    decipher.update(sealed.subarray(at, Math.min(at + STEP_BYTES, length))).copy(into, at);
  }
  try {
    decipher.final();
    return into.subarray(0, length);
  } catch {
    return undefined;
  }
}

/** The same into memory of its own. */
export function decrypt(sealed: Buffer, message: MessageKey): Buffer | undefined {
  return decryptInto(Buffer.alloc(Math.max(0, sealed.length - TAG_BYTES)), sealed, message);
}
