import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

export const KEY_BYTES = 32;

/**
 * The key of an open, encrypted repository. It exists only in memory. A KeyObject can be passed to another
 * thread as it is, and neither JSON nor a log shows its contents.
 */
export interface RepositoryKey {
  /**
   * UUID of the repository: every derived key depends on it, so a key opens nothing in another repository.
   */
  repository: string;
  /** 32 random bytes, from which all keys are derived. They never encrypt anything themselves. */
  dataKey: KeyObject;
  /** Id of the record below `keys/` that opened the repository, if any. */
  openedWith?: string;
}

/** Turns 32 bytes into a key, and overwrites `bytes`. */
export function takeKey(bytes: Uint8Array): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

const NO_SALT: Uint8Array = Buffer.alloc(0);

/**
 * Derives a key for one purpose with HKDF-SHA-256 (RFC 5869) from the data key. The salt is the repository's
 * UUID as 16 bytes, then `salt`; `purpose` is the info string.
 */
export function deriveKey(
  { repository, dataKey }: RepositoryKey,
  purpose: string,
  salt = NO_SALT,
): KeyObject {
  const wholeSalt = Buffer.concat([uuidBytes(repository), salt]);
  return takeKey(new Uint8Array(hkdfSync("sha256", dataKey, wholeSalt, purpose, KEY_BYTES)));
}

/**
 * Returns 64 hex digits that identify a data key and reveal nothing about it. `config.json` contains them.
 */
export function keyCheck(key: RepositoryKey): string {
  return deriveKey(key, "blockferry key check").export().toString("hex");
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

/** AES-256 in Galois/Counter Mode (NIST SP 800-38D), with nonces of 96 bits and tags of 128 bits. */
const ALGORITHM = "aes-256-gcm";
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** For a key that encrypts exactly one message. */
export const ONLY_NONCE = Buffer.alloc(NONCE_BYTES);

/**
 * Size of a step of encryption. Node allocates a buffer for the result of each step. Buffers of 128 KiB and
 * more come from the kernel, page by page, which costs a third of the time of a chunk; small buffers reuse
 * recently freed memory.
 */
const STEP_BYTES = 32 * 1024;

interface MessageKey {
  key: KeyObject;
  nonce: Buffer;
  /** Additional authenticated data. */
  context?: Buffer;
}

/**
 * Encrypts a message.
 * @param into takes ciphertext and tag, 16 bytes more than `plain`; it may start at the same address as
 * `plain`
 */
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
 * Decrypts and authenticates a message.
 * @param into takes the plaintext, which must not be used unless it is returned
 * @returns a view of `into`; undefined unless ciphertext, tag, nonce and context are the original ones
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

/** Decrypts into new memory, see `decryptInto`. */
export function decrypt(sealed: Buffer, message: MessageKey): Buffer | undefined {
  return decryptInto(Buffer.alloc(Math.max(0, sealed.length - TAG_BYTES)), sealed, message);
}
