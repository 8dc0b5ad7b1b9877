import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { readSealed } from "../read-sealed.js";
import { sealJson } from "../sealed-json.js";
import { undefinedIfAbsent } from "../storage/if-absent.js";
import type { Storage } from "../storage/storage.js";
import { wasNotAnswered } from "../storage/storage-errors.js";
import { KmsKeySchema } from "./kms-key.js";
import { ScryptSchema } from "./passphrase.js";

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

export function newKeyId(): string {
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
      ? `Give it back its name, ${keyRecordKey(record.id)}.`
      : "No version of blockferry makes such an id: find out who wrote it.",
    object: key,
    offset: 0,
  });
}
