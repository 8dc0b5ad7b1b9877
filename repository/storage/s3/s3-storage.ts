import { NO_CIPHER } from "../../format/chunk-codec.js";
import type { ObjectLock } from "../../format/recovery-point.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "../storage.js";
import { lockUnsupported, refuseTooLarge } from "../storage-errors.js";
import { S3Bucket } from "./s3-bucket.js";
import { proveServer } from "./s3-capabilities.js";
import { listObjects } from "./s3-lists.js";
import type { S3Location } from "./s3-location.js";
import { canLock, lockedObjects, lockObjects } from "./s3-locks.js";
import { putNewObject, putObject, readS3Object, removeObjects } from "./s3-requests.js";
import { S3Upload } from "./s3-upload.js";
import { S3UploadSession } from "./s3-upload-session.js";

/** S3 accepts parts of at least 5 MiB, except for the last one, and at most 10,000 of them. */
const PART_BYTES = 8 * 1024 * 1024;

/**
 * A repository in an S3 bucket. S3 itself is atomic, durable and consistent: an object is either complete or
 * does not exist.
 */
export class S3Storage implements Storage {
  readonly name: string;
  readonly partBytes = PART_BYTES;
  readonly cipher = NO_CIPHER;

  private constructor(private readonly s3: S3Bucket) {
    this.name = s3.name;
  }

  static open(location: S3Location): S3Storage {
    return new S3Storage(S3Bucket.open(location));
  }

  until(signal: AbortSignal): S3Storage {
    return new S3Storage(this.s3.until(signal));
  }

  close(): void {
    this.s3.close();
  }

  async put(key: string, body: Uint8Array, options: { ifNoneMatch?: "*" } = {}): Promise<void> {
    refuseTooLarge(this.name, key, body);
    try {
      await (options.ifNoneMatch === "*" ? putNewObject : putObject)(this.s3, key, body);
    } catch (error) {
      throw this.s3.explain(key, error);
    }
  }

  putStream(key: string): Upload {
    return new S3Upload(this.s3, key);
  }

  async get(key: string, options: GetOptions = {}): Promise<Buffer> {
    try {
      return await readS3Object(this.s3, key, options);
    } catch (error) {
      throw this.s3.explain(key, error);
    }
  }

  async list(prefix: string): Promise<StoredObject[]> {
    const objects: StoredObject[] = [];
    try {
      for await (const { Key = "", Size = 0, LastModified } of listObjects(this.s3, prefix)) {
        objects.push({ key: this.s3.relative(Key), sizeBytes: Size, modifiedAt: LastModified });
      }
    } catch (error) {
      throw this.s3.explain(prefix, error);
    }
    return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /**
   * Lists the contents. The console marks a "folder" with an empty object named like the prefix, which is
   * left out.
   */
  async *contents(): AsyncGenerator<string> {
    try {
      for await (const { Key = "", Size = 0 } of listObjects(this.s3, "")) {
        if (this.s3.relative(Key) !== "" || Size > 0) yield this.s3.relative(Key);
      }
    } catch (error) {
      throw this.s3.explain("", error);
    }
  }

  async delete(keys: string[]): Promise<void> {
    try {
      await removeObjects(this.s3, keys);
    } catch (error) {
      throw this.s3.explain(keys[0] ?? "", error);
    }
  }

  async proveLockable(): Promise<void> {
    if (!(await this.isLockable())) throw lockUnsupported(this.name);
  }

  async lock(keys: string[], lock: ObjectLock): Promise<void> {
    try {
      await lockObjects(this.s3, keys, lock);
    } catch (error) {
      throw this.s3.explain(keys[0] ?? "", error);
    }
  }

  async lockedUntil(keys: string[]): Promise<Map<string, Date>> {
    if (keys.length === 0 || !(await this.isLockable())) return new Map();
    try {
      return await lockedObjects(this.s3, keys);
    } catch (error) {
      throw this.s3.explain(keys[0] ?? "", error);
    }
  }

  /** Objects that S3 lists are durable. */
  async makeDurable(): Promise<void> {}

  async isListed(key: string): Promise<boolean> {
    return (await this.list(key)).some((object) => object.key === key);
  }

  prove(): Promise<string[]> {
    return proveServer(this.s3);
  }

  async beginUploads(): Promise<UploadSession> {
    return S3UploadSession.begin(this.s3);
  }

  /**
   * Returns whether objects can be locked. Without the right to ask, returns true: the objects, or the attempt to
   * lock them, will show it.
   */
  private async isLockable(): Promise<boolean> {
    try {
      return await canLock(this.s3);
    } catch (error) {
      const explained = this.s3.explain("", error);
      if (explained.code === "StorageDenied") return true;
      throw explained;
    }
  }
}
