import type { KeyObject } from "node:crypto";
import { decrypt, encryptInto, ONLY_NONCE, TAG_BYTES } from "./aes-gcm.js";
import type { KmsCaller } from "./ask-kms.js";
import { type KeyRecord, newKeyId } from "./key-record.js";
import { newKmsKey, openKmsKey } from "./kms-key.js";
import {
  newScryptParameters,
  type PassphraseSource,
  readNewPassphrase,
  type ScryptParameters,
  stretch,
} from "./passphrase.js";
import { KEY_BYTES, type RepositoryKey, takeKey } from "./repository-key.js";

/** The protection of a repository key. */
export type KeyProtection =
  | { kind: "kms"; arn: string }
  /** Only tests set `scryptN`: they cannot spend 0.4 s on each command. */
  | { kind: "passphrase"; source: PassphraseSource; scryptN?: number };

/**
 * Wraps the data key: encrypts it with a wrapping key from KMS or from a passphrase. Each wrapping key is
 * used once.
 * @throws PassphraseUnavailable, KeyNotUsable, CredentialsInvalid, AwsUnavailable
 */
export async function wrapKey(
  { repository, dataKey }: RepositoryKey,
  protection: KeyProtection,
  caller: KmsCaller,
): Promise<KeyRecord> {
  const id = newKeyId();
  const { from, wrapping } = await newWrappingKey(repository, protection, caller);
  const wrapped = Buffer.alloc(KEY_BYTES + TAG_BYTES);
  const plain = dataKey.export();
  encryptInto(wrapped, plain, { key: wrapping, nonce: ONLY_NONCE, context: contextOf({ id, repository }) });
  plain.fill(0);
  const createdAt = new Date().toISOString();
  return { version: 1, id, repository, createdAt, from, wrapped: wrapped.toString("base64") };
}

async function newWrappingKey(
  repository: string,
  protection: KeyProtection,
  caller: KmsCaller,
): Promise<{ from: KeyRecord["from"]; wrapping: KeyObject }> {
  if (protection.kind === "kms") return newKmsKey(protection.arn, { repository, ...caller });
  const passphrase = await readNewPassphrase(protection.source, "New passphrase");
  const from: ScryptParameters = newScryptParameters(protection.scryptN);
  return { from, wrapping: await stretch(passphrase, from) };
}

/**
 * Decrypts a wrapped data key.
 * @param passphrase called only for a record that needs one
 * @returns undefined when the wrapping key does not fit the record
 */
export async function unwrapKey(
  record: KeyRecord,
  passphrase: () => Promise<string>,
  caller: KmsCaller,
): Promise<RepositoryKey | undefined> {
  const { repository, from, wrapped } = record;
  const key =
    from.kind === "kms"
      ? await openKmsKey(from, { repository, ...caller })
      : await stretch(await passphrase(), from);
  const context = contextOf(record);
  const dataKey = decrypt(Buffer.from(wrapped, "base64"), { key, nonce: ONLY_NONCE, context });
  return dataKey === undefined ? undefined : { repository, dataKey: takeKey(dataKey) };
}

/**
 * Returns the authenticated data of a wrapped key:
 * under another name or in another repository it does not open.
 */
function contextOf({ id, repository }: { id: string; repository: string }): Buffer {
  return Buffer.from(`blockferry wrapped key ${repository} ${id}`, "utf8");
}
