import { randomBytes, randomUUID } from "node:crypto";
import { BlockferryError } from "../../foundation/errors.js";
import { KEY_BYTES, keyCheck, type RepositoryKey, takeKey } from "../encryption/aes-gcm.js";
import {
  isKeyRecordKey,
  KEY_FOLDER,
  type KeyList,
  type KeyProtection,
  listKeys,
  readKeyRecord,
  removeKeyRecord,
  wrapKey,
  writeKeyRecord,
} from "../encryption/key-record.js";
import { isGiven } from "../encryption/passphrase.js";
import { unlock } from "../encryption/unlock.js";
import { CONFIG_KEY, newConfig, type RepositoryConfig, unknownForWriting } from "../format/config.js";
import { openStorage, parseStorageLocation, withKey } from "../storage/open-storage.js";
import { ReadOnlyStorage } from "../storage/read-only-storage.js";
import { type Storage, type StorageLocation, tempNameOwner } from "../storage/storage.js";
import { saysNothing } from "../storage/storage-errors.js";
import { refuseUnexpected } from "./expectation.js";
import { canonicalLocation, KnownRepositories } from "./known-repositories.js";
import { createConfig, readConfig, refuseExisting } from "./open-config.js";

/** An open repository: its config, and its storage. */
export interface Repository {
  config: RepositoryConfig;
  /** Encrypts and decrypts by itself if the repository is encrypted. */
  storage: Storage;
  /** With this another thread can open the same storage; for an encrypted repository it includes the key. */
  location: StorageLocation;
}

/**
 * Creates a repository.
 * @param repo a location, or the path of a local directory
 * @param protection of its first key; without it the repository is not encrypted
 * @throws RepositoryExists, PlaceNotEmpty, StorageDenied, StorageFull; the errors of `Storage.prove` and
 * `wrapKey`
 */
export async function initRepository(
  repo: StorageLocation | string,
  protection?: KeyProtection,
): Promise<NewRepository> {
  const location = locationOf(repo);
  const storage = await openStorage(location);
  await refuseForeign(storage, protection === undefined ? "plain" : "encrypted");
  const made =
    protection === undefined
      ? await initPlain(location, storage)
      : await initEncrypted(location, storage, protection);
  await remember(location, made.config);
  return made;
}

interface NewRepository extends Repository {
  /** Notes from `Storage.prove`. */
  notes: string[];
}

async function initPlain(location: StorageLocation, storage: Storage): Promise<NewRepository> {
  const notes = await storage.prove();
  return { config: await createConfig(storage, newConfig(randomUUID())), storage, location, notes };
}

/** Writes the key before the config, so that every existing repository can be opened. */
async function initEncrypted(
  location: StorageLocation,
  storage: Storage,
  protection: KeyProtection,
): Promise<NewRepository> {
  const key: RepositoryKey = { repository: randomUUID(), dataKey: takeKey(randomBytes(KEY_BYTES)) };
  const record = await wrapKey(key, protection, { profile: profileOf(location) });
  const notes = await storage.prove();
  await writeKeyRecord(storage, record);
  try {
    const config = await createConfig(storage, newConfig(key.repository, keyCheck(key)));
    return { ...opened(config, storage, location, key), notes };
  } catch (error) {
    // After any other error the config may be stored, and only this key would open it.
    const isTaken = error instanceof BlockferryError && error.code === "RepositoryExists";
    if (isTaken) await removeKeyRecord(storage, record.id).catch(() => undefined);
    throw error;
  }
}

/**
 * Opens a repository.
 * @param repo a location, or the path of a local directory
 * @param signal stops waiting for a storage that does not answer
 * @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt, StorageDenied, Interrupted; the errors of
 * `unlock`
 */
export async function openRepository(
  repo: StorageLocation | string,
  signal?: AbortSignal,
): Promise<Repository> {
  const location = locationOf(repo);
  const storage = await openStorage(location);
  const opening = signal === undefined ? storage : storage.until(signal);
  const config = await readConfig(opening);
  await refuseOther(storage, location, config);
  if (config.encryption.mode === "none") {
    await refuseKeys(opening);
    refuseNeedlessPassphrase(storage, location);
    await remember(location, config);
    return { config, storage: writableIfKnown(config, storage), location };
  }
  const { passphrase } = location;
  const key = await unlock(opening, config, { passphrase, profile: profileOf(location), signal });
  await remember(location, config);
  return opened(config, storage, location, key);
}

/**
 * Returns the facts about a repository that need no key.
 * @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt
 */
export async function inspectRepository(
  location: StorageLocation,
): Promise<KeyList & { config: RepositoryConfig }> {
  const storage = await openStorage(location);
  const config = await readConfig(storage);
  await refuseOther(storage, location, config);
  return { config, ...(await listKeys(storage, config.id)) };
}

function opened(
  config: RepositoryConfig,
  storage: Storage,
  location: StorageLocation,
  key: RepositoryKey,
): Repository {
  return {
    config,
    storage: writableIfKnown(config, withKey(storage, key)),
    location: { ...location, key },
  };
}

/**
 * Opens the same repository with other choices for writing.
 * @param location of the repository, with its key
 */
export async function reopened({ config }: Repository, location: StorageLocation): Promise<Repository> {
  return { config, storage: writableIfKnown(config, await openStorage(location)), location };
}

/** Returns a read-only storage if this program lacks a feature needed for writing, for every command. */
function writableIfKnown(config: RepositoryConfig, storage: Storage): Storage {
  const unknown = unknownForWriting(config);
  return unknown.length === 0 ? storage : new ReadOnlyStorage(storage, unknown);
}

/**
 * Checks the repository against the given pins and this machine's records.
 * @throws RepositoryMismatch, RepositoryChanged
 */
async function refuseOther(
  storage: Storage,
  location: StorageLocation,
  config: RepositoryConfig,
): Promise<void> {
  refuseUnexpected(storage.name, config, location.expect ?? []);
  if (location.stateFolder === undefined) return;
  await new KnownRepositories(location.stateFolder).refuseChanged(await canonicalLocation(location), config);
}

/** Records the identity of a repository at its first use. If that fails, prints a note and goes on. */
async function remember(location: StorageLocation, config: RepositoryConfig): Promise<void> {
  const { stateFolder } = location;
  if (stateFolder === undefined) return;
  const known = new KnownRepositories(stateFolder);
  const reason = await known.remember(await canonicalLocation(location), config);
  if (reason === undefined || hasNoticed) return;
  hasNoticed = true;
  process.stderr.write(
    `note: this machine cannot remember the repository, so a replaced one will not be noticed: ${reason}. Set BLOCKFERRY_STATE_DIR.\n`,
  );
}

let hasNoticed = false;

function locationOf(repo: StorageLocation | string): StorageLocation {
  return typeof repo === "string" ? parseStorageLocation(repo) : repo;
}

/** Returns the AWS profile for KMS: the same credentials serve for the bucket and the key. */
export function profileOf(location: StorageLocation): string | undefined {
  return location.kind === "s3" ? location.profile : undefined;
}

/**
 * Refuses any object below `keys/` in an unencrypted repository, from another repository or not: a forged
 * `config.json` can contain any UUID.
 * @throws ObjectCorrupt
 */
async function refuseKeys(storage: Storage): Promise<void> {
  const [first] = await storage.list(KEY_FOLDER);
  if (first === undefined) return;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `config.json in ${storage.name} says that nothing is encrypted, but ${first.key} exists: config.json was replaced.`,
    remedy:
      "Restore it from a replica or an earlier version in the bucket, and find out who replaced it. Nothing was read or stored. If the repository was never encrypted, an `init --encrypt` that was interrupted may have left that object: remove everything below keys/.",
    object: "config.json",
    offset: 0,
  });
}

/**
 * Refuses a passphrase for an unencrypted repository. A passphrase means that the user expects encryption,
 * and neither a replaced `config.json` nor an emptied `keys/` may change that.
 * @throws Usage
 */
function refuseNeedlessPassphrase(storage: Storage, { passphrase }: StorageLocation): void {
  if (passphrase === undefined || !isGiven(passphrase)) return;
  const given = passphrase.kind === "file" ? "A passphrase file" : `A passphrase in ${passphrase.variable}`;
  throw new BlockferryError({
    code: "Usage",
    message: `${given} is given, but ${storage.name} is not encrypted.`,
    remedy:
      "If it was encrypted, find out who replaced its config.json. If it never was, leave the passphrase out.",
  });
}

const NAMED = 5;
/** The number of further objects that are counted without being named: a bucket may hold millions. */
const COUNTED = 1000;

/** The folders that `init` creates before it writes its config. */
const EMPTY_FOLDERS: ReadonlySet<string> = new Set(["tmp/", "keys/"]);

/**
 * Refuses a location for a new repository unless it is empty. The remains of an interrupted `init` are
 * allowed. Otherwise files of other programs would later be taken for blockferry's, and other programs would
 * meet blockferry's files.
 * @param mode keys are remains of an encrypted `init` only: an unencrypted repository must not contain any
 * @throws PlaceNotEmpty, RepositoryExists
 */
async function refuseForeign(storage: Storage, mode: "plain" | "encrypted"): Promise<void> {
  await refuseExisting(storage);
  const foreign: string[] = [];
  for await (const name of storage.contents()) {
    // Another `init` may write its config at this moment; `createConfig` finds that out.
    if (name === CONFIG_KEY) continue;
    if (!(await isRestOfInit(storage, name, mode))) foreign.push(name);
    if (foreign.length > NAMED + COUNTED) break;
  }
  if (foreign.length > 0) throw placeNotEmpty(storage, foreign);
}

async function isRestOfInit(storage: Storage, name: string, mode: "plain" | "encrypted"): Promise<boolean> {
  if (EMPTY_FOLDERS.has(name)) return true;
  if (name.startsWith("tmp/")) return tempNameOwner(name.slice("tmp/".length)) !== undefined;
  return mode === "encrypted" && isKeyRecordKey(name) && (await isKeyRecord(storage, name));
}

async function isKeyRecord(storage: Storage, key: string): Promise<boolean> {
  try {
    await readKeyRecord(storage, key);
    return true;
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    return false;
  }
}

function placeNotEmpty(storage: Storage, foreign: string[]): BlockferryError {
  const named = foreign.slice(0, NAMED).join(", ");
  const others = foreign.length - NAMED;
  const count = others > COUNTED ? `more than ${COUNTED}` : others;
  const keysAlone = foreign.every((name) => name.startsWith("keys/"));
  return new BlockferryError({
    code: "PlaceNotEmpty",
    message: `${storage.name} is not empty: it holds ${named}${others > 0 ? ` and ${count} more` : ""}.`,
    remedy: keysAlone
      ? "These may be keys of an encrypted repository whose config.json is gone: restore that file from a replica. If an `init --encrypt` was interrupted there, run it again, or choose an empty location."
      : "Choose an empty location for the repository, such as a new folder or prefix below this one.",
    object: foreign[0],
  });
}
