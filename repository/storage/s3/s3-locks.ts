import {
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ObjectLockRetentionMode,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3";
import type { ObjectLock } from "../../format/recovery-point.js";
import type { S3Bucket } from "./s3-bucket.js";
import { forEachOf } from "./s3-requests.js";

/**
 * Returns whether objects of the bucket can be locked: it was created with Object Lock, or Object Lock was
 * enabled later. AWS: "Locking objects with Object Lock". A server that does not know the question has no locks.
 */
export async function canLock(s3: S3Bucket): Promise<boolean> {
  const { Bucket } = s3.object("");
  try {
    const { ObjectLockConfiguration } = await s3.send(new GetObjectLockConfigurationCommand({ Bucket }));
    return ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
  } catch (error) {
    if (error instanceof Error && error.name === "ObjectLockConfigurationNotFoundError") return false;
    if (s3.refusesAsUnknown(error)) return false;
    throw error;
  }
}

/** Locks objects; a longer or stricter lock on an object stays. */
export async function lockObjects(s3: S3Bucket, keys: string[], lock: ObjectLock): Promise<void> {
  await forEachOf(keys, async (key) => {
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
  await forEachOf(keys, async (key) => {
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
