import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

export const KEY_BYTES = 32;

/**
 * What opens an encrypted repository. It lives in memory alone: a KeyObject goes to another thread as it is, and neither
 * JSON nor a log shows what is in it.
 */
export interface RepositoryKey {
  /** UUID of the repository: every derived key depends on it, so that nothing opens in another one. */
  repository: string;
  /** 32 random bytes, from which all keys are derived. They never encrypt anything themselves. */
  dataKey: KeyObject;
  /** Id of the record below `keys/` that it was opened with, if it was. */
  openedWith?: string;
}

/** Takes 32 bytes over as a key; nothing of them stays in `bytes`. */
export function takeKey(bytes: Uint8Array): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

const NO_SALT: Uint8Array = Buffer.alloc(0);

/**
 * A key for one purpose: HKDF-SHA-256 (RFC 5869) of the data key. The salt is the repository's UUID as 16 bytes, then
 * `salt`; `purpose` is the info string.
 */
export function deriveKey(
  { repository, dataKey }: RepositoryKey,
  purpose: string,
  salt = NO_SALT,
): KeyObject {
  const wholeSalt = Buffer.concat([uuidBytes(repository), salt]);
  return takeKey(new Uint8Array(hkdfSync("sha256", dataKey, wholeSalt, purpose, KEY_BYTES)));
}

/** Shows whether a data key is the repository's, and nothing about it: 64 hex digits, kept in `config.json`. */
export function keyCheck(key: RepositoryKey): string {
  return deriveKey(key, "blockferry key check").export().toString("hex");
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}
