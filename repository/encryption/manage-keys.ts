import { isDeepStrictEqual } from "node:util";
import { BlockferryError } from "../../foundation/errors.js";
import type { Storage } from "../storage/storage.js";
import type { RepositoryKey } from "./aes-gcm.js";
import {
  type KeyProtection,
  type KeyRecord,
  keyRecordKey,
  listKeys,
  removeKeyRecord,
  wrapKey,
  writeKeyRecord,
} from "./key-record.js";
import { type KmsCaller, openKmsKey } from "./kms.js";

/** Wraps the data key with one more key. @throws the errors of `wrapKey` and of the storage */
export async function addKey(
  storage: Storage,
  key: RepositoryKey,
  protection: KeyProtection,
  caller: KmsCaller,
): Promise<KeyRecord> {
  const record = await wrapKey(key, protection, caller);
  await writeKeyRecord(storage, record);
  return record;
}

/**
 * Removes a key, damaged or not. Two people who remove a key each at the same time could remove the last two
 * keys. So a process that finds no key afterwards puts its own back.
 * @param reference a prefix of its id
 * @param key opened with another key, so that the remaining key is proven to open
 * @returns its id
 * @throws KeyNotFound; KeyNeeded when no other key would remain, or none that is proven
 */
export async function removeKey(
  storage: Storage,
  { repository, openedWith }: Pick<RepositoryKey, "repository" | "openedWith">,
  reference: string,
): Promise<string> {
  const { keys, damaged } = await listKeys(storage, repository);
  const id = findKeyId(
    [...keys.map((key) => keyRecordKey(key.id)), ...damaged.map(({ object }) => object ?? "")],
    reference,
  );
  if (keys.every((key) => key.id === id)) throw lastKey(id);
  if (id === openedWith) throw unprovenRest(id);
  await removeKeyRecord(storage, id);
  const removed = keys.find((key) => key.id === id);
  if (removed === undefined || (await listKeys(storage, repository)).keys.length > 0) return id;
  await writeKeyRecord(storage, removed);
  throw lastKey(id);
}

/**
 * Re-wraps the data key. The new key is stored, and with KMS proven to open, before the old one is removed.
 * No data are touched.
 * @throws the errors of `addKey` and `removeKey`; the error of the new key, which is removed again
 */
export async function rotateKey(
  storage: Storage,
  key: RepositoryKey,
  reference: string,
  protection: KeyProtection,
  caller: KmsCaller,
): Promise<{ added: KeyRecord; removed: string }> {
  const { keys } = await listKeys(storage, key.repository);
  const old = findKeyId(
    keys.map(({ id }) => keyRecordKey(id)),
    reference,
  );
  const added = await addKey(storage, key, protection, caller);
  try {
    if (added.from.kind === "kms") await openKmsKey(added.from, { repository: key.repository, ...caller });
    const { keys: stored } = await listKeys(storage, key.repository);
    if (!stored.some((record) => isDeepStrictEqual(record, added))) throw notStored(added.id);
  } catch (error) {
    await removeKeyRecord(storage, added.id);
    throw error;
  }
  return { added, removed: await removeKey(storage, { repository: key.repository }, old) };
}

function findKeyId(objects: string[], reference: string): string {
  const ids = objects.map((object) => object.slice("keys/".length, -".json".length));
  const matches = ids.filter((id) => id.startsWith(reference));
  const [match] = matches;
  if (match !== undefined && matches.length === 1) return match;
  throw new BlockferryError({
    code: "KeyNotFound",
    message:
      match === undefined
        ? `The repository has no key ${reference}.`
        : `${matches.length} keys of the repository start with ${reference}.`,
    remedy: "List the keys: blockferry-agent key list",
  });
}

function notStored(id: string): BlockferryError {
  return new BlockferryError({
    code: "StorageFailed",
    message: `${keyRecordKey(id)} differs from the record that was written; no key was removed.`,
    remedy: "Run the command again.",
    object: keyRecordKey(id),
  });
}

function unprovenRest(id: string): BlockferryError {
  return new BlockferryError({
    code: "KeyNeeded",
    message: `The repository was opened with ${keyRecordKey(id)} itself, so nothing shows that another key opens it.`,
    remedy:
      "Open it with a key that you want to keep: give its passphrase with --passphrase-file, or credentials that may use its KMS key. Or replace the key: blockferry-agent key rotate",
    object: keyRecordKey(id),
  });
}

function lastKey(id: string): BlockferryError {
  return new BlockferryError({
    code: "KeyNeeded",
    message: `${keyRecordKey(id)} is the only key of the repository: without it, no one could read the repository.`,
    remedy: "Add another key first: blockferry-agent key add",
    object: keyRecordKey(id),
  });
}
