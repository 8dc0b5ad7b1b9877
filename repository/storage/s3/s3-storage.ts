import {
  type _Error,
  DeleteObjectsCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ObjectLockRetentionMode,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3";
import { NO_CIPHER } from "../../format/chunk-codec.js";
import type { ObjectLock } from "../../format/recovery-point.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "../storage.js";
import { lockUnsupported, refuseTooLarge } from "../storage-errors.js";
import { S3Bucket } from "./s3-bucket.js";
import { conditionalWritesIgnored } from "./s3-errors.js";
import type { S3Location } from "./s3-location.js";
import {
  isPreconditionFailed,
  listObjects,
  putNewObject,
  putObject,
  readS3Object,
  removeObject,
} from "./s3-requests.js";
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

/** Parallel requests for locks. */
const AT_ONCE = 32;

/**
 * Returns whether objects of the bucket can be locked: it was created with Object Lock, or Object Lock was
 * enabled later. AWS: "Locking objects with Object Lock".
 */
async function canLock(s3: S3Bucket): Promise<boolean> {
  const { Bucket } = s3.object("");
  try {
    const { ObjectLockConfiguration } = await s3.send(new GetObjectLockConfigurationCommand({ Bucket }));
    return ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
  } catch (error) {
    if (error instanceof Error && error.name === "ObjectLockConfigurationNotFoundError") return false;
    throw error;
  }
}

/** Locks objects; a longer or stricter lock on an object stays. */
async function lockObjects(s3: S3Bucket, keys: string[], lock: ObjectLock): Promise<void> {
  await forEach(keys, async (key) => {
    const held = await lockOf(s3, key);
    const wanted = held === undefined ? lock : stricter(held, lock);
    if (held?.mode === wanted.mode && held.until >= wanted.until) return;
    const Mode = ObjectLockRetentionMode[wanted.mode === "compliance" ? "COMPLIANCE" : "GOVERNANCE"];
    const Retention = { Mode, RetainUntilDate: wanted.until };
    await s3.send(new PutObjectRetentionCommand({ ...s3.object(key), Retention }));
  });
}

/** Returns the end of each object's lock; unlocked and missing objects are left out. */
async function lockedObjects(s3: S3Bucket, keys: string[]): Promise<Map<string, Date>> {
  const now = new Date();
  const locked = new Map<string, Date>();
  await forEach(keys, async (key) => {
    const held = await lockOf(s3, key).catch((error: unknown) => {
      if (error instanceof Error && error.name === "NotFound") return undefined;
      throw error;
    });
    if (held !== undefined && held.until > now) locked.set(key, held.until);
  });
  return locked;
}

function stricter(a: ObjectLock, b: ObjectLock): ObjectLock {
  const mode = a.mode === "compliance" ? a.mode : b.mode;
  return { mode, until: a.until > b.until ? a.until : b.until };
}

async function lockOf(s3: S3Bucket, key: string): Promise<ObjectLock | undefined> {
  const { ObjectLockMode, ObjectLockRetainUntilDate: until } = await s3.send(
    new HeadObjectCommand(s3.object(key)),
  );
  if (until === undefined) return undefined;
  return { mode: ObjectLockMode === "COMPLIANCE" ? "compliance" : "governance", until };
}

async function forEach(keys: string[], action: (key: string) => Promise<void>): Promise<void> {
  const queue = [...keys];
  const work = async () => {
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) await action(key);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, keys.length) }, work));
}
