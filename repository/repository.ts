import { randomBytes, randomUUID } from "node:crypto";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { createConfig, newConfig, type RepositoryConfig, readConfig, refuseExisting } from "./config.js";
import { type KeyList, listKeys, removeKeyRecord, writeKeyRecord } from "./encryption/key-record.js";
import { KEY_BYTES, keyCheck, type RepositoryKey, takeKey } from "./encryption/repository-key.js";
import { unlock } from "./encryption/unlock.js";
import { type KeyProtection, wrapKey } from "./encryption/wrap-key.js";
import { openStorage, parseStorageLocation, withKey } from "./storage/open-storage.js";
import type { Storage, StorageLocation } from "./storage/storage.js";

/** An open repository: what holds for all of it, and where its bytes are. */
export interface Repository {
  config: RepositoryConfig;
  /** Encrypts and decrypts by itself, where the repository is encrypted. */
  storage: Storage;
  /** Lets another thread open the same storage; of an encrypted repository the key is part of it. */
  location: StorageLocation;
}

/**
 * @param repo a location, or the path of a local directory
 * @param protection of its first key; without one nothing is encrypted
 * @throws RepositoryExists, StorageDenied, StorageFull; what `wrapKey` throws
 */
export async function initRepository(
  repo: StorageLocation | string,
  protection?: KeyProtection,
): Promise<Repository> {
  const location = locationOf(repo);
  const storage = await openStorage(location);
  if (protection !== undefined) return initEncrypted(location, storage, protection);
  return { config: await createConfig(storage, newConfig(randomUUID())), storage, location };
}

/** The key comes first: a repository that exists can be opened. */
async function initEncrypted(
  location: StorageLocation,
  storage: Storage,
  protection: KeyProtection,
): Promise<Repository> {
  await refuseExisting(storage);
  const key: RepositoryKey = { repository: randomUUID(), dataKey: takeKey(randomBytes(KEY_BYTES)) };
  const record = await wrapKey(key, protection, { profile: profileOf(location) });
  await writeKeyRecord(storage, record);
  try {
    const config = await createConfig(storage, newConfig(key.repository, keyCheck(key)));
    return opened(config, storage, location, key);
  } catch (error) {
    // After any other error the config may be there, and this is all that would open it.
    const isTaken = error instanceof BlockferryError && error.code === "RepositoryExists";
    if (isTaken) await removeKeyRecord(storage, record.id).catch(() => undefined);
    throw error;
  }
}

/**
 * @param repo a location, or the path of a local directory
 * @param signal ends the waiting for a storage that does not answer
 * @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt, StorageDenied, Interrupted; what `unlock` throws
 */
export async function openRepository(
  repo: StorageLocation | string,
  signal?: AbortSignal,
): Promise<Repository> {
  const location = locationOf(repo);
  const storage = await openStorage(location);
  const opening = signal === undefined ? storage : storage.until(signal);
  const config = await readConfig(opening);
  if (config.encryption.mode === "none") {
    refuseNeedlessPassphrase(storage, location);
    await refuseKeys(opening, config);
    return { config, storage, location };
  }
  const { passphrase } = location;
  const key = await unlock(opening, config, { passphrase, profile: profileOf(location), signal });
  return opened(config, storage, location, key);
}

/** What can be told of a repository without any key. @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt */
export async function inspectRepository(
  location: StorageLocation,
): Promise<KeyList & { config: RepositoryConfig }> {
  const storage = await openStorage(location);
  const config = await readConfig(storage);
  return { config, ...(await listKeys(storage, config.id)) };
}

/** ARNs of the KMS keys that open a repository, each by itself. */
export function kmsKeysOf({ keys }: KeyList): string[] {
  return keys.flatMap(({ from }) => (from.kind === "kms" ? [from.keyArn] : []));
}

function opened(
  config: RepositoryConfig,
  storage: Storage,
  location: StorageLocation,
  key: RepositoryKey,
): Repository {
  return { config, storage: withKey(storage, key), location: { ...location, key } };
}

function locationOf(repo: StorageLocation | string): StorageLocation {
  return typeof repo === "string" ? parseStorageLocation(repo) : repo;
}

/** Whoever may read the bucket may use the key: the same credentials serve for both. */
export function profileOf(location: StorageLocation): string | undefined {
  return location.kind === "s3" ? location.profile : undefined;
}

/** A repository that has keys is encrypted: a `config.json` that says otherwise was replaced. @throws ObjectCorrupt */
async function refuseKeys(storage: Storage, { id }: RepositoryConfig): Promise<void> {
  const { keys } = await listKeys(storage, id);
  if (keys.length === 0) return;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `config.json in ${storage.name} says that nothing is encrypted, and there are keys of this repository: config.json was replaced.`,
    remedy:
      "Bring it back from a replica or an earlier version in the bucket, and find out who replaced it. Nothing was read or stored.",
    object: "config.json",
    offset: 0,
  });
}

/** Who names a passphrase file expects encryption; a `config.json` that somebody replaced must not undo it. @throws Usage */
function refuseNeedlessPassphrase(storage: Storage, { passphrase }: StorageLocation): void {
  if (passphrase?.kind !== "file") return;
  throw new BlockferryError({
    code: "Usage",
    message: `A passphrase file is given, and ${storage.name} is not encrypted.`,
    remedy: "Leave it out; or, if it was encrypted, find out who replaced its config.json.",
  });
}
