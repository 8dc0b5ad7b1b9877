import * as z from "zod/mini";

/**
 * S3 Object Lock: how long an object can be neither removed nor replaced, and whether a privileged role may
 * lift the lock.
 */
export interface ObjectLock {
  mode: "governance" | "compliance";
  until: Date;
}

/** The form of a lock in documents. */
export const LockRecordSchema = z.strictObject({
  mode: z.enum(["governance", "compliance"]),
  until: z.iso.datetime(),
});

export type LockRecord = z.infer<typeof LockRecordSchema>;

export function toLockRecord({ mode, until }: ObjectLock): LockRecord {
  return { mode, until: until.toISOString() };
}

export function fromLockRecord({ mode, until }: LockRecord): ObjectLock {
  return { mode, until: new Date(until) };
}
