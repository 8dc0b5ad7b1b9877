import type { Cipher } from "../encryption/cipher.js";
import type { PassphraseSource } from "../encryption/passphrase.js";
import type { RepositoryKey } from "../encryption/repository-key.js";
import type { ObjectLock } from "./object-lock.js";
import type { S3Location } from "./s3/s3-location.js";

/** Where a repository's bytes go. Keys are relative, with forward slashes: `packs/3f/3f09...`. */
export interface Storage {
  /** Names the storage in messages: a path or URL. */
  readonly name: string;
  /** How large the parts of an upload should be, in bytes: a multiple of 4,096. */
  readonly partBytes: number;
  /** How what it holds is protected: not at all, until an encrypted repository is opened with its key. */
  readonly cipher: Cipher;

  /**
   * Stores a whole object; when this returns, it is durable, and nobody ever sees a part of it.
   * @throws ObjectExists with `ifNoneMatch: "*"` when the key is taken; StorageFull, StorageDenied, StorageFailed, the last also
   * when the object would be too large to be read again
   */
  put(key: string, body: Uint8Array, options?: { ifNoneMatch?: "*" }): Promise<void>;

  /** Begins an object whose size is not known yet. It exists once `finish` returns, and not before. */
  putStream(key: string): Upload;

  /**
   * Reads an object, or the given range of it.
   * @returns what was read; shorter than the range where the object ends first
   * @throws ObjectNotFound, StorageDenied, StorageFailed; ObjectCorrupt when it is read as a whole and larger than one of its key
   * can be (object-bounds.ts)
   */
  get(key: string, options?: GetOptions): Promise<Buffer>;

  /** All objects whose key starts with `prefix`, which ends with a slash. */
  list(prefix: string): Promise<StoredObject[]>;

  /**
   * Removes objects, durably; those that are not there are no error.
   * @throws StorageDenied, StorageFailed: some may be gone by then
   */
  delete(keys: string[]): Promise<void>;

  /** @throws LockUnsupported where objects cannot be locked */
  proveLockable(): Promise<void>;

  /**
   * Keeps objects from being removed or replaced by anybody; a longer or stricter lock stays as it is.
   * @throws LockUnsupported, StorageDenied, StorageFailed: some may be locked by then
   */
  lock(keys: string[], lock: ObjectLock): Promise<void>;

  /** Until when objects are locked; those that are not locked now are left out. */
  lockedUntil(keys: string[]): Promise<Map<string, Date>>;

  /**
   * Makes objects that `list` found survive a power cut, before anything refers to them: a writer that was killed may have
   * left an object visible and its name not yet on disk.
   */
  makeDurable(keys: string[]): Promise<void>;

  /**
   * Proves that the storage refuses to replace an object when asked to with `ifNoneMatch`, on one of its own that it removes again.
   * @throws ConditionalWritesUnsupported
   */
  proveWriteOnce(): Promise<void>;

  /**
   * The same storage, for work that is to end soon after the signal fires: what is waited for ends at once then (an outage, the
   * bandwidth limit, an answer) and throws Interrupted. A `put` that is under way goes on to its end, but is not tried again.
   */
  until(signal: AbortSignal): Storage;

  /** Called before the first upload of a run: removes what uploads of dead processes left behind. */
  beginUploads(): Promise<UploadSession>;
}

/** A run that uploads. Others leave its unfinished uploads alone until it ends. */
export interface UploadSession {
  /** How many unfinished uploads of dead runs were removed when it began. */
  readonly removed: number;
  /** Call it when all uploads are finished or aborted. Never fails. */
  end(): Promise<void>;
}

/** An object being written in parts; parts may be in flight together, their order is that of the calls. */
export interface Upload {
  /**
   * Adds a part of `partBytes`. The buffer must not change until the promise resolves.
   * @param crc32 the part's CRC-32, for a storage that sends it along; it computes what is left out
   */
  write(part: Buffer, crc32?: number): Promise<void>;
  /**
   * Adds the last part, of any length, waits for all parts, and makes the object durable and visible. When any part
   * failed, this fails too, and the object never appears.
   */
  finish(tail: Buffer, crc32?: number): Promise<void>;
  /** Gives up: nothing of the object stays behind. */
  abort(): Promise<void>;
}

/** How much longer than the range a buffer to read `into` must be, so that storage may read whole blocks. */
export const READ_SLACK_BYTES = 8192;

export interface GetOptions {
  range?: { offset: number; length: number };
  /** Memory for the result, which is a view of it; page-aligned memory saves a copy. */
  into?: Buffer;
}

export interface StoredObject {
  key: string;
  sizeBytes: number;
}

/** Enough to open a storage again in another thread. */
export type StorageLocation = ({ kind: "directory"; path: string } | S3Location) & KeyAccess;

interface KeyAccess {
  /** Where the passphrase of an encrypted repository is to be had. */
  passphrase?: PassphraseSource | undefined;
  /** Of an encrypted repository that has been opened. */
  key?: RepositoryKey;
}
