import {
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ObjectLockRetentionMode,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3";
import type { ObjectLock } from "../object-lock.js";
import type { S3Bucket } from "./s3-bucket.js";

/** Parallel requests for locks. */
const AT_ONCE = 32;

/**
 * Returns whether objects of the bucket can be locked: it was created with Object Lock, or Object Lock was
 * enabled later. AWS: "Locking objects with Object Lock".
 */
export async function canLock(s3: S3Bucket): Promise<boolean> {
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
export async function lockObjects(s3: S3Bucket, keys: string[], lock: ObjectLock): Promise<void> {
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
export async function lockedObjects(s3: S3Bucket, keys: string[]): Promise<Map<string, Date>> {
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
