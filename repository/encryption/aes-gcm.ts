import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";

/** AES-256 in Galois/Counter Mode (NIST SP 800-38D), with nonces of 96 and tags of 128 bits. */
const ALGORITHM = "aes-256-gcm";
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** For a key that encrypts one message and never another. */
export const ONLY_NONCE = Buffer.alloc(NONCE_BYTES);

const NOTHING = Buffer.alloc(0);

/** @param into where ciphertext and tag go: as many bytes as `plain`, and 16 more; it may be where `plain` stands */
export function encryptInto(
  into: Buffer,
  plain: Uint8Array,
  { key, nonce, context = NOTHING }: { key: KeyObject; nonce: Buffer; context?: Buffer },
): void {
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  if (context.length > 0) cipher.setAAD(context);
  const length = plain.length;
  cipher.update(plain).copy(into);
  cipher.final();
  cipher.getAuthTag().copy(into, length);
}

/** @returns undefined unless ciphertext, tag, nonce and context are those that were written */
export function decrypt(
  sealed: Buffer,
  { key, nonce, context = NOTHING }: { key: KeyObject; nonce: Buffer; context?: Buffer },
): Buffer | undefined {
  const length = sealed.length - TAG_BYTES;
  if (length < 0) return undefined;
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  if (context.length > 0) decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(length));
  const plain = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}
