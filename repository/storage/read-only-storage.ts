import type { Cipher } from "../format/chunk-codec.js";
import { featuresUnknown } from "../format/config.js";
import type { ObjectLock } from "../format/recovery-point.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "./storage.js";

/**
 * Objects that even a reader writes and later removes: they keep `prune` away from the data that it reads.
 */
const OWN_TRACES = /^locks\//;

/**
 * Storage of a repository that needs unknown features for writing: everything can be read,
 * nothing can be changed.
 */
export class ReadOnlyStorage implements Storage {
  constructor(
    private readonly inner: Storage,
    private readonly unknown: string[],
    private readonly traces = new Set<string>(),
  ) {}

  get name(): string {
    return this.inner.name;
  }

  get partBytes(): number {
    return this.inner.partBytes;
  }

  get cipher(): Cipher {
    return this.inner.cipher;
  }

  async put(key: string, body: Uint8Array, options?: { ifNoneMatch?: "*" }): Promise<void> {
    if (!OWN_TRACES.test(key)) throw this.refused();
    await this.inner.put(key, body, options);
    this.traces.add(key);
  }

  putStream(): Upload {
    throw this.refused();
  }

  get(key: string, options?: GetOptions): Promise<Buffer> {
    return this.inner.get(key, options);
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

  async delete(keys: string[]): Promise<void> {
    const own = keys.filter((key) => this.traces.has(key));
    if (own.length === 0 && keys.length > 0) throw this.refused();
    await this.inner.delete(own);
  }

  async proveLockable(): Promise<void> {
    throw this.refused();
  }

  async lock(_keys: string[], _lock: ObjectLock): Promise<void> {
    throw this.refused();
  }

  lockedUntil(keys: string[]): Promise<Map<string, Date>> {
    return this.inner.lockedUntil(keys);
  }

  async makeDurable(): Promise<void> {
    throw this.refused();
  }

  async prove(): Promise<string[]> {
    throw this.refused();
  }

  until(signal: AbortSignal): ReadOnlyStorage {
    return new ReadOnlyStorage(this.inner.until(signal), this.unknown, this.traces);
  }

  async beginUploads(): Promise<UploadSession> {
    throw this.refused();
  }

  close(): void {
    this.inner.close();
  }

  private refused() {
    return featuresUnknown(this.name, "writing", this.unknown);
  }
}
