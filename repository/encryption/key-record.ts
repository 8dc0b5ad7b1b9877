import { type KeyObject, randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { sealJson } from "../format/sealed-json.js";
import { readSealed } from "../storage/read-document.js";
import { undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { wasNotAnswered } from "../storage/storage-errors.js";
import {
  decrypt,
  encryptInto,
  KEY_BYTES,
  ONLY_NONCE,
  type RepositoryKey,
  TAG_BYTES,
  takeKey,
} from "./aes-gcm.js";
import { type KmsCaller, KmsKeySchema, newKmsKey, openKmsKey } from "./kms.js";
import {
  newScryptParameters,
  type PassphraseSource,
  readNewPassphrase,
  type ScryptParameters,
  ScryptSchema,
  stretch,
} from "./passphrase.js";

/** The folder for all keys of an encrypted repository; empty without encryption. */
export const KEY_FOLDER = "keys/";
const KEY = /^keys\/([0-9a-f]{16})\.json$/;

const KeyRecordSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  repository: z.uuid(),
  createdAt: z.iso.datetime(),
  /** The source of the wrapping key. */
  from: z.discriminatedUnion("kind", [ScryptSchema, KmsKeySchema]),
  /** The data key, encrypted with the wrapping key: 32 bytes and their tag, in base64. */
  wrapped: z.string(),
});

/** One wrapped copy of a repository's data key. All keys of a repository wrap the same data key. */
export type KeyRecord = z.infer<typeof KeyRecordSchema>;

function newKeyId(): string {
  return randomBytes(8).toString("hex");
}

export function keyRecordKey(id: string): string {
  return `${KEY_FOLDER}${id}.json`;
}

export function isKeyRecordKey(key: string): boolean {
  return KEY.test(key);
}

export async function writeKeyRecord(storage: Storage, record: KeyRecord): Promise<void> {
  await storage.put(keyRecordKey(record.id), sealJson(record), { ifNoneMatch: "*" });
}

export function removeKeyRecord(storage: Storage, id: string): Promise<void> {
  return storage.delete([keyRecordKey(id)]);
}

export interface KeyList {
  /** Oldest first. */
  keys: KeyRecord[];
  /** Errors of the unreadable keys. */
  damaged: BlockferryError[];
}

/**
 * Lists the keys of a repository. Keys that a failed `init` left behind belong to another repository and are
 * left out.
 */
export async function listKeys(storage: Storage, repository: string): Promise<KeyList> {
  const list: KeyList = { keys: [], damaged: [] };
  for (const { key } of await storage.list(KEY_FOLDER)) {
    if (!isKeyRecordKey(key)) continue;
    try {
      const record = await undefinedIfAbsent(() => readKeyRecord(storage, key));
      if (record?.repository === repository) list.keys.push(record);
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
      list.damaged.push(error);
    }
  }
  list.keys.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  return list;
}

/** Reads a key record. @throws ObjectCorrupt, RepositoryUnsupported, ObjectNotFound */
export async function readKeyRecord(storage: Storage, key: string): Promise<KeyRecord> {
  const record = await readSealed(storage, key, KeyRecordSchema);
  if (keyRecordKey(record.id) === key) return record;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} holds key ${record.id}: it was renamed or copied.`,
    remedy: isKeyRecordKey(keyRecordKey(record.id))
      ? `Rename it back to ${keyRecordKey(record.id)}.`
      : "No version of blockferry makes such an id: find out who wrote it.",
    object: key,
    offset: 0,
  });
}

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
