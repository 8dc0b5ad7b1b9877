import { randomBytes } from "node:crypto";
import { decrypt, encryptInto, ONLY_NONCE, TAG_BYTES } from "./aes-gcm.js";
import { deriveKey, type RepositoryKey } from "./repository-key.js";

/**
 * An encrypted object: header with a random salt, ciphertext, tag. Each object has its own key, derived with
 * that salt. So an object that is rewritten again and again never uses a nonce twice. docs/format.md
 * describes every byte.
 */
const HEADER_START = Buffer.from("BFRYENCR\x02\0\0\0\0\0\0\0", "latin1");
const HEADER_BYTES = 48;
const SALT_BYTES = HEADER_BYTES - HEADER_START.length;
const PURPOSE = "blockferry object";

/** Encrypts an object. @param salt 32 random bytes; only a test may choose them */
export function encryptObject(
  repositoryKey: RepositoryKey,
  name: string,
  body: Uint8Array,
  salt: Uint8Array = randomBytes(SALT_BYTES),
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length + TAG_BYTES);
  HEADER_START.copy(bytes);
  bytes.set(salt, HEADER_START.length);
  const key = deriveKey(repositoryKey, PURPOSE, salt);
  const context = contextOf(bytes, name);
  encryptInto(bytes.subarray(HEADER_BYTES), body, { key, nonce: ONLY_NONCE, context });
  return bytes;
}

/**
 * Decrypts an object.
 * @returns undefined when it is damaged, or is not the object of this name in this repository
 */
export function decryptObject(repositoryKey: RepositoryKey, name: string, bytes: Buffer): Buffer | undefined {
  if (!bytes.subarray(0, HEADER_START.length).equals(HEADER_START)) return undefined;
  const salt = bytes.subarray(HEADER_START.length, HEADER_BYTES);
  const key = deriveKey(repositoryKey, PURPOSE, salt);
  const context = contextOf(bytes, name);
  return decrypt(bytes.subarray(HEADER_BYTES), { key, nonce: ONLY_NONCE, context });
}

/** Returns the additional authenticated data: the header and the name. */
function contextOf(bytes: Buffer, name: string): Buffer {
  return Buffer.concat([bytes.subarray(0, HEADER_BYTES), Buffer.from(name, "utf8")]);
}
