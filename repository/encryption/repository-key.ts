import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

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
