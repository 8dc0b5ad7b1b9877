import { BlockferryError } from "../../foundation/errors.js";
import type { StoredObject } from "../storage/storage.js";

/** The largest difference between two clocks before a date is in doubt. */
export const CLOCK_TOLERANCE_MS = 60 * 60 * 1000;

/**
 * The first plausible storage date, before blockferry existed. Archives and copies often give files the date
 * 1970 or 1980, which says nothing.
 */
const FIRST_STORED_MS = Date.UTC(2020, 0, 1);

/**
 * Returns why the date in a recovery point's id cannot be right: it is later than now, or later than the time
 * at which the storage received the point. Such a point is never `latest`, never another's predecessor, and
 * counts for no retention rule.
 * @returns undefined when the date can be right
 */
export function futureDate(
  id: string,
  stored: Pick<StoredObject, "modifiedAt">,
): BlockferryError | undefined {
  const time = timeOfPoint(id);
  if (!(time <= Date.now() + CLOCK_TOLERANCE_MS)) return inFuture(id, "later than the clock of this machine");
  const storedMs = storageTime(stored);
  if (storedMs === undefined || time <= storedMs + CLOCK_TOLERANCE_MS) return undefined;
  return inFuture(id, `later than ${new Date(storedMs).toISOString()}, when the storage received it`);
}

/** Returns the second in a point's id. Within a second, only the times in the points show which is newer. */
export function secondOf(id: string): string {
  return id.slice(0, "20261123T112150Z".length);
}

/** Returns whether the storage received the point at its creation. A later date means a copy or a forgery. */
export function wasStoredInTime(id: string, stored: Pick<StoredObject, "modifiedAt">): boolean {
  const storedMs = storageTime(stored);
  return storedMs !== undefined && Math.abs(storedMs - timeOfPoint(id)) <= CLOCK_TOLERANCE_MS;
}

/** Returns whether the id and the time in a point agree to the second. */
export function datesAgree({ id, createdAt }: { id: string; createdAt: string }): boolean {
  return Math.floor(Date.parse(createdAt) / 1000) * 1000 === timeOfPoint(id);
}

/** Returns milliseconds since 1970; NaN if the id contains no valid date. */
function timeOfPoint(id: string): number {
  return Date.parse(id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, "$1-$2-$3T$4:$5:$6Z"));
}

/** Returns milliseconds since 1970; undefined if the date of the storage says nothing. */
export function storageTime({ modifiedAt }: Pick<StoredObject, "modifiedAt">): number | undefined {
  return modifiedAt === undefined || modifiedAt.getTime() < FIRST_STORED_MS
    ? undefined
    : modifiedAt.getTime();
}

function inFuture(id: string, why: string): BlockferryError {
  return new BlockferryError({
    code: "PointInFuture",
    message: `Recovery point ${id} has a date that is ${why}.`,
    remedy: `Correct the clock that is wrong. \`latest\` and retention rules leave the point out; to remove it, run \`blockferry-agent forget ${id}\`.`,
    object: `points/${id}.json`,
  });
}
