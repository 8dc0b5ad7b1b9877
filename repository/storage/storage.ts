import { randomBytes } from "node:crypto";
import { OWNER_TOKEN, OWNER_TOKEN_FORM } from "../../foundation/owner-token.js";
import type { RepositoryKey } from "../encryption/aes-gcm.js";
import type { PassphraseSource } from "../encryption/passphrase.js";
import type { Cipher } from "../format/chunk-codec.js";
import type { ObjectLock } from "../format/recovery-point.js";
import type { Expectation } from "../open/expectation.js";
import type { S3Location } from "./s3/s3-location.js";

/** The storage of a repository. Keys are relative, with forward slashes: `packs/3f/3f09...`. */
export interface Storage {
  /** Names the storage in messages: a path or URL. */
  readonly name: string;
  /** Recommended size of an upload's parts, in bytes: a multiple of 4,096. */
  readonly partBytes: number;
  /** The protection of the contents: none, until an encrypted repository is opened with its key. */
  readonly cipher: Cipher;

  /**
   * Stores a whole object. When this returns, the object is durable; no reader ever sees a part of it.
   * @throws ObjectExists with `ifNoneMatch: "*"` when the key is taken; StorageFull, StorageDenied;
   * StorageFailed, also when the object would be too large to be read again
   */
  put(key: string, body: Uint8Array, options?: { ifNoneMatch?: "*" }): Promise<void>;

  /** Starts an object of unknown size. It exists once `finish` returns, and not before. */
  putStream(key: string): Upload;

  /**
   * Reads an object, or the given range of it.
   * @returns the bytes read; shorter than the range at the end of the object
   * @throws ObjectNotFound, StorageDenied, StorageFailed; ObjectCorrupt when a whole object is read that is
   * larger than the bound of its key (format/sealed-json.ts)
   */
  get(key: string, options?: GetOptions): Promise<Buffer>;

  /**
   * Lists all objects whose key starts with `prefix`, which ends with a slash.
   * @throws ListIncomplete if the storage did not say that the list is whole; StorageDenied, StorageFailed
   */
  list(prefix: string): Promise<StoredObject[]>;

  /** Returns whether a list shows an object, under exactly this key. @throws the errors of `list` */
  isListed(key: string): Promise<boolean>;

  /**
   * Yields the names of everything in the location, from blockferry or not, unordered. An empty folder ends
   * with a slash. Memory and time depend only on the number of names that are read.
   * @throws StorageDenied, StorageFailed
   */
  contents(): AsyncIterable<string>;

  /**
   * Removes objects durably; missing objects are not an error.
   * @throws StorageDenied, StorageFailed: some may already be removed
   */
  delete(keys: string[]): Promise<void>;

  /** Checks that objects can be locked. @throws LockUnsupported if not */
  proveLockable(): Promise<void>;

  /**
   * Locks objects, so that no one can remove or replace them; a longer or stricter lock stays.
   * @throws LockUnsupported, StorageDenied, StorageFailed: some may already be locked
   */
  lock(keys: string[], lock: ObjectLock): Promise<void>;

  /** Returns the end of each object's lock; objects that are not locked now are left out. */
  lockedUntil(keys: string[]): Promise<Map<string, Date>>;

  /**
   * Makes listed objects survive a power failure, before anything refers to them. A killed writer may have
   * left an object visible while its name is not yet on disk.
   */
  makeDurable(keys: string[]): Promise<void>;

  /**
   * Proves that the storage can do everything that any command needs. Tests this on objects of its own with
   * names from `newProofName`, which it removes again.
   * @returns notes, each a sentence about a missing ability and its cost; none of them endangers data
   * @throws StorageUnsuitable, ConditionalWritesUnsupported: it must not hold a repository
   */
  prove(): Promise<string[]>;

  /**
   * Returns the same storage for work that should end soon after the signal fires. Waiting (for an outage,
   * the bandwidth limit or an answer) then ends at once and throws Interrupted. A running `put` continues to
   * its end, but is not retried.
   */
  until(signal: AbortSignal): Storage;

  /** Starts the uploads of a run: removes the remains of uploads by dead processes. */
  beginUploads(): Promise<UploadSession>;

  /**
   * Closes the connections; this storage and the ones from `until` must not be used afterwards. A process
   * that ends need not call it.
   */
  close(): void;
}

/** A run that uploads. Other runs leave its unfinished uploads alone until it ends. */
export interface UploadSession {
  /** Unfinished uploads of dead runs that were removed at the start. */
  readonly removed: number;
  /** Call it when all uploads are finished or aborted. Never throws. */
  end(): Promise<void>;
}

/**
 * An object that is being written in parts. Parts may be in flight together;
 * their order is that of the calls.
 */
export interface Upload {
  /**
   * Adds a part of `partBytes`. The buffer must not change until the promise resolves.
   * @param crc32 the part's CRC-32, for a storage that sends it; if left out, the storage computes it
   */
  write(part: Buffer, crc32?: number): Promise<void>;
  /**
   * Adds the last part and completes the object. The part may have any length. Waits for all parts, and makes
   * the object durable and visible. If any part failed, this fails too, and the object never appears.
   */
  finish(tail: Buffer, crc32?: number): Promise<void>;
  /** Discards the object without leaving any part of it behind. */
  abort(): Promise<void>;
}

/** Extra length of an `into` buffer, beyond the range. With it the storage can read whole blocks. */
export const READ_SLACK_BYTES = 8192;

export interface GetOptions {
  range?: { offset: number; length: number };
  /** Memory for the result, which is a view of it; page-aligned memory saves a copy. */
  into?: Buffer;
}

export interface StoredObject {
  key: string;
  sizeBytes: number;
  /** When the storage received it, by the storage's clock; undefined if the storage does not report it. */
  modifiedAt?: Date | undefined;
}

/** The location of a storage, with which another thread can open it. */
export type StorageLocation = (DirectoryLocation | S3Location) & RunAccess;

export interface DirectoryLocation {
  kind: "directory";
  path: string;
  /**
   * Accepts a file system that cannot sync folders or files. The memory is shared by all threads of the run,
   * and records which of the two has been noted (`newWeakDurability`).
   */
  weakDurability?: SharedArrayBuffer;
}

/** Accepts weak durability, for one run. */
export function newWeakDurability(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
}

export interface RunAccess {
  /** The run frees space, so it may use the space that a local folder keeps in reserve. */
  freesSpace?: true;
  /**
   * Expected identity of the repository. All expectations are checked before anything except `config.json` is
   * read.
   */
  expect?: readonly Expectation[];
  /** Folder for this machine's records of repositories at their first use; without it nothing is compared. */
  stateFolder?: string;
  /** The source of the passphrase of an encrypted repository. */
  passphrase?: PassphraseSource | undefined;
  /** The key of an encrypted repository that has been opened. */
  key?: RepositoryKey;
}

/** The ending of names from `newProofName`: it has every kind of character that keys have. */
const PROOF_ENDING = "-Proof.json";
const TEMP_NAME = new RegExp(`^(${OWNER_TOKEN_FORM})@[0-9a-f]{16}(${PROOF_ENDING})?$`);

/** Returns a new name for a temporary object of this process: `<owner token>@<16 hex>`. */
export function newTempName(): string {
  return `${OWNER_TOKEN}@${randomBytes(8).toString("hex")}`;
}

/** Returns a new name for a temporary object of `Storage.prove`: `<owner token>@<16 hex>-Proof.json`. */
export function newProofName(): string {
  return newTempName() + PROOF_ENDING;
}

/**
 * Returns the owner token in the name of a temporary object.
 * @returns undefined for every other name: blockferry never created that object, and must not remove it
 */
export function tempNameOwner(name: string): string | undefined {
  return TEMP_NAME.exec(name)?.[1];
}
