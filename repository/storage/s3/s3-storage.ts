import { type _Error, DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { NO_CIPHER } from "../../encryption/no-cipher.js";
import type { ObjectLock } from "../object-lock.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "../storage.js";
import { lockUnsupported, refuseTooLarge } from "../storage-errors.js";
import { listObjects } from "./list-objects.js";
import { canLock, lockedObjects, lockObjects } from "./object-lock.js";
import { isPreconditionFailed, putNewObject, putObject } from "./put-object.js";
import { removeObject } from "./remove-object.js";
import { S3Bucket } from "./s3-bucket.js";
import { conditionalWritesIgnored } from "./s3-errors.js";
import type { S3Location } from "./s3-location.js";
import { readS3Object } from "./s3-read.js";
import { S3Upload } from "./s3-upload.js";
import { newMarkerKey, S3UploadSession } from "./s3-upload-session.js";

/** S3 accepts parts of at least 5 MiB, except for the last one, and at most 10,000 of them. */
const PART_BYTES = 8 * 1024 * 1024;

/** The limit of `DeleteObjects`. */
const MAX_KEYS_PER_DELETE = 1000;

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
    for (let start = 0; start < keys.length; start += MAX_KEYS_PER_DELETE) {
      await this.deleteBatch(keys.slice(start, start + MAX_KEYS_PER_DELETE));
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

  async proveWriteOnce(): Promise<void> {
    const key = newMarkerKey();
    try {
      await this.put(key, Buffer.from("the first object"), { ifNoneMatch: "*" });
      const isRefused = await this.refusesToReplace(key);
      await removeObject(this.s3, key);
      if (!isRefused) throw conditionalWritesIgnored(this.name, key);
    } catch (error) {
      throw this.s3.explain(key, error);
    }
  }

  async beginUploads(): Promise<UploadSession> {
    return S3UploadSession.begin(this.s3);
  }

  private async deleteBatch(keys: string[]): Promise<void> {
    const { Bucket } = this.s3.object("");
    const Objects = keys.map((key) => ({ Key: this.s3.object(key).Key }));
    try {
      const command = new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } });
      await this.s3.request(async (client, abortable) => {
        const { Errors = [] } = await client.send(command, abortable);
        const [failed] = Errors.filter(({ Code }) => Code !== "NoSuchKey");
        if (failed !== undefined) throw refusedToDelete(failed);
      });
    } catch (error) {
      throw this.s3.explain(keys[0] ?? "", error);
    }
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

  private async refusesToReplace(key: string): Promise<boolean> {
    try {
      await putObject(this.s3, key, Buffer.from("a second object"), { IfNoneMatch: "*" });
      return false;
    } catch (error) {
      if (isPreconditionFailed(error)) return true;
      throw error;
    }
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const STATUS_OF_CODE: Record<string, number> = { AccessDenied: 403, SlowDown: 503, ServiceUnavailable: 503 };

/**
 * Converts the error of one object in a batch into the error that a separate request would have failed with.
 */
function refusedToDelete({ Code = "Unknown", Key = "", Message = "" }: _Error): Error {
  const error = Object.assign(new Error(`${Key}: ${Message}`), {
    $metadata: { httpStatusCode: STATUS_OF_CODE[Code] ?? 500 },
  });
  error.name = Code;
  return error;
}
