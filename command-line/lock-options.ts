import type { ObjectLock } from "../repository/format/recovery-point.js";
import { once, text, usage } from "./options.js";

export interface LockArguments {
  lockDays: number | undefined;
  lockUntil: string | undefined;
  lockMode: ObjectLock["mode"] | undefined;
}

const GROUP = "Immutability (S3 Object Lock):";
const DAY_MS = 86_400_000;
/**
 * The longest retention in days that S3 accepts:
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
 */
const MAX_DAYS = 36_500;

export const lockOptions = {
  "lock-days": {
    type: "number",
    group: GROUP,
    requiresArg: true,
    coerce: once("lock-days"),
    describe: "Lock everything the point needs against removal and replacement for N days",
  },
  "lock-until": text(
    GROUP,
    "lock-until",
    "The same until a date, such as 2027-01-31 or 2027-01-31T12:00:00Z",
  ),
  "lock-mode": {
    choices: ["governance", "compliance"],
    group: GROUP,
    coerce: once("lock-mode"),
    describe:
      "governance: roles with s3:BypassGovernanceRetention may lift the lock; compliance: no one may  [default: governance]",
  },
} as const;

/** Parses the lock options. @returns undefined without a lock @throws Usage */
export function parseLock(
  { lockDays, lockUntil, lockMode }: LockArguments,
  now = new Date(),
): ObjectLock | undefined {
  if (lockDays === undefined && lockUntil === undefined) {
    if (lockMode === undefined) return undefined;
    throw usage(
      "--lock-mode is given without a period to lock for.",
      "Also give --lock-days or --lock-until.",
    );
  }
  if (lockDays !== undefined && lockUntil !== undefined) {
    throw usage("Both --lock-days and --lock-until are given.", "Give one of them.");
  }
  const until = lockUntil === undefined ? afterDays(lockDays as number, now) : parseDate(lockUntil, now);
  return { mode: lockMode ?? "governance", until };
}

function afterDays(days: number, now: Date): Date {
  if (Number.isInteger(days) && days >= 1 && days <= MAX_DAYS) return new Date(now.getTime() + days * DAY_MS);
  throw usage(`--lock-days must be a whole number from 1 to ${MAX_DAYS}.`, "Write, say, --lock-days 30");
}

/** Parses a time. A date without a time means the end of that day in UTC. */
function parseDate(given: string, now: Date): Date {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(given);
  const isMoment = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$/.test(given);
  const until = new Date(isDay ? `${given}T23:59:59Z` : given);
  if ((isDay || isMoment) && until > now) return until;
  throw usage(
    `--lock-until ${given} is not a date in the future.`,
    "Write a date as 2027-01-31, or a time in UTC as 2027-01-31T12:00:00Z",
  );
}
