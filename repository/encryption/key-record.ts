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

const FOLDER = "keys/";
const KEY = /^keys\/([0-9a-f]{16})\.json$/;

const KeyRecordSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  repository: z.uuid(),
  createdAt: z.iso.datetime(),
  /** What the wrapping key comes from. */
  from: z.discriminatedUnion("kind", [ScryptSchema, KmsKeySchema]),
  /** The data key, encrypted with the wrapping key: 32 bytes and their tag, in base64. */
  wrapped: z.string(),
});

/** One of the keys of a repository: its data key, wrapped. All of them wrap the same one. */
export type KeyRecord = z.infer<typeof KeyRecordSchema>;

export function newKeyId(): string {
  return randomBytes(8).toString("hex");
}

export function keyRecordKey(id: string): string {
  return `${FOLDER}${id}.json`;
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
  /** What is wrong with those that cannot be read. */
  damaged: BlockferryError[];
}

/** The keys of a repository. What an `init` left that failed belongs to another one, and is none of them. */
export async function listKeys(storage: Storage, repository: string): Promise<KeyList> {
  const list: KeyList = { keys: [], damaged: [] };
  for (const { key } of await storage.list(FOLDER)) {
    if (!KEY.test(key)) continue;
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

async function readKeyRecord(storage: Storage, key: string): Promise<KeyRecord> {
  const record = await readSealed(storage, key, KeyRecordSchema);
  if (keyRecordKey(record.id) === key) return record;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} holds key ${record.id}: it was renamed or copied.`,
    remedy: `Give it back its name, ${keyRecordKey(record.id)}.`,
    object: key,
    offset: 0,
  });
}
