import { BlockferryError } from "../../foundation/errors.js";
import type { Cipher } from "../format/chunk-codec.js";
import { damagedRemedy } from "../format/object-bounds.js";
import type { ObjectLock } from "../format/recovery-point.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "../storage/storage.js";

/**
 * Keys that are readable without the data key: `config.json`, the wrapped keys, the markers of uploads, and
 * the cancellation of a job. The writers of packs and index segments encrypt them themselves, piece by piece
 * or before they are named.
 */
const LEFT_ALONE = /^(config\.json|(keys|packs|index|tmp)\/.*|jobs\/[^/]+\/cancel)$/;

/**
 * The storage of an encrypted repository: encrypts every document when it is written and proves it
 * when it is read.
 */
export class EncryptedStorage implements Storage {
  constructor(
    private readonly inner: Storage,
    readonly cipher: Cipher,
  ) {}

  get name(): string {
    return this.inner.name;
  }

  get partBytes(): number {
    return this.inner.partBytes;
  }

  put(key: string, body: Uint8Array, options?: { ifNoneMatch?: "*" }): Promise<void> {
    return this.inner.put(key, LEFT_ALONE.test(key) ? body : this.cipher.encryptObject(key, body), options);
  }

  putStream(key: string): Upload {
    return this.inner.putStream(key);
  }

  /** Reads and decrypts an object. @throws ObjectCorrupt, and the errors of the inner storage */
  async get(key: string, options: GetOptions = {}): Promise<Buffer> {
    if (LEFT_ALONE.test(key)) return this.inner.get(key, options);
    const stored = await this.inner.get(key);
    const { offset = 0, length = Infinity } = options.range ?? {};
    const body = this.cipher.decryptObject(key, stored);
    if (body === undefined) throw undecryptable(key, stored.length);
    return body.subarray(offset, offset + length);
  }

  list(prefix: string): Promise<StoredObject[]> {
    return this.inner.list(prefix);
  }

  isListed(key: string): Promise<boolean> {
    return this.inner.isListed(key);
  }

  contents(): AsyncIterable<string> {
    return this.inner.contents();
  }

  delete(keys: string[]): Promise<void> {
    return this.inner.delete(keys);
  }

  proveLockable(): Promise<void> {
    return this.inner.proveLockable();
  }

  lock(keys: string[], lock: ObjectLock): Promise<void> {
    return this.inner.lock(keys, lock);
  }

  lockedUntil(keys: string[]): Promise<Map<string, Date>> {
    return this.inner.lockedUntil(keys);
  }

  makeDurable(keys: string[]): Promise<void> {
    return this.inner.makeDurable(keys);
  }

  prove(): Promise<string[]> {
    return this.inner.prove();
  }

  until(signal: AbortSignal): EncryptedStorage {
    return new EncryptedStorage(this.inner.until(signal), this.cipher);
  }

  beginUploads(): Promise<UploadSession> {
    return this.inner.beginUploads();
  }

  close(): void {
    this.inner.close();
  }
}

function undecryptable(key: string, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is damaged: bytes 0 to ${sizeBytes} do not match their authentication tag, or they belong to another name or repository.`,
    remedy: damagedRemedy(key),
    object: key,
    offset: 0,
  });
}
