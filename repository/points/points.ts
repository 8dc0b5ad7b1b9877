import { BlockferryError } from "../../foundation/errors.js";
import {
  ID,
  POINT_ID,
  type PointReference,
  parsePoint,
  pointIdOf,
  pointKey,
  type RecoveryPoint,
} from "../format/recovery-point.js";
import { sealJson } from "../format/sealed-json.js";
import { againIfDamaged, undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage, StoredObject } from "../storage/storage.js";
import { saysNothing, wasNotAnswered } from "../storage/storage-errors.js";
import { judgeNames, nameUnknown, unknownKeys } from "../storage/unknown-names.js";
import { datesAgree, futureDate, secondOf } from "./point-dates.js";

const POINT_KEY = new RegExp(`^points/${ID}\\.json$`);

export async function writePoint(storage: Storage, point: RecoveryPoint): Promise<void> {
  await storage.put(pointKey(point.id), sealJson(point), { ifNoneMatch: "*" });
}

export function removePoint(storage: Storage, id: string): Promise<void> {
  return storage.delete([pointKey(id)]);
}

export interface PointList {
  /** Oldest first. */
  points: RecoveryPoint[];
  /** Errors of unreadable points, and of objects that may be points under wrong names. */
  damaged: BlockferryError[];
  /** Errors of other objects in the folder. */
  strange: BlockferryError[];
  /** Why the dates of points cannot be right, by point id; includes unreadable points. See `futureDate`. */
  future: Map<string, BlockferryError>;
  /** Seal and storage time of the readable points, by id. */
  stored: Map<string, PointSeal>;
}

interface PointSeal {
  /** The hex digits of its seal. */
  sha256: string;
  modifiedAt: Date | undefined;
}

/** Lists all points. A point that is forgotten during the listing is left out. */
export async function listPoints(storage: Storage): Promise<PointList> {
  const list: PointList = { points: [], damaged: [], strange: [], future: new Map(), stored: new Map() };
  const objects = await storage.list("points/");
  const unknown = await judgeNames(storage, unknownKeys(objects, isPointKey));
  if (unknown !== undefined) (unknown.mayBeDocument ? list.damaged : list.strange).push(unknown.error);
  for (const { key, modifiedAt } of objects.filter(({ key }) => isPointKey(key))) {
    const future = futureDate(pointIdOf(key), { modifiedAt });
    if (future !== undefined) list.future.set(pointIdOf(key), future);
    try {
      const read = await undefinedIfAbsent(() => readPoint(storage, key));
      if (read === undefined) continue;
      list.points.push(read.point);
      list.stored.set(read.point.id, { sha256: read.sha256, modifiedAt });
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
      list.damaged.push(error);
    }
  }
  list.points.sort((a, b) => compareText(a.createdAt, b.createdAt) || compareText(a.id, b.id));
  return list;
}

/** Points that are read at once, for a caller that needs only the newest few. */
const POINT_READS = 16;

/**
 * Returns all objects with the name of a recovery point.
 * @param onUnknown gets the error of objects with other names
 */
export async function pointObjects(
  storage: Storage,
  onUnknown: (error: BlockferryError) => void = () => undefined,
): Promise<StoredObject[]> {
  const objects = await storage.list("points/");
  const unknown = unknownKeys(objects, isPointKey);
  if (unknown.length > 0) onUnknown(nameUnknown(unknown));
  return objects.filter(({ key }) => isPointKey(key));
}

function isPointKey(key: string): boolean {
  return POINT_KEY.test(key);
}

/**
 * Yields the points from the newest to the oldest. Reads them in batches, only as far as the caller goes.
 * Leaves out points that are damaged, dated in the future, or forgotten in the meantime. Ids give the second
 * of a point; within a second the times in the points decide, as long as the points are read in the same
 * batch.
 * @param onPassedOver gets the error of each point that is left out, before any older points
 */
export async function* pointsNewestFirst(
  storage: Storage,
  onPassedOver: (error: BlockferryError) => void = () => undefined,
): AsyncGenerator<RecoveryPoint> {
  const keys: string[] = [];
  for (const { key, ...stored } of await pointObjects(storage, onPassedOver)) {
    const future = futureDate(pointIdOf(key), stored);
    if (future === undefined) keys.push(key);
    else onPassedOver(future);
  }
  keys.sort(compareText).reverse();
  for (let first = 0; first < keys.length; first += POINT_READS) {
    const reads = keys
      .slice(first, first + POINT_READS)
      .map((key) => readIfWhole(storage, key, onPassedOver));
    const points = (await Promise.all(reads)).filter((point) => point !== undefined);
    yield* points.sort((a, b) => compareText(b.createdAt, a.createdAt));
  }
}

async function readIfWhole(
  storage: Storage,
  key: string,
  onPassedOver: (error: BlockferryError) => void,
): Promise<RecoveryPoint | undefined> {
  try {
    return (await undefinedIfAbsent(() => readPoint(storage, key)))?.point;
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    onPassedOver(error);
    return undefined;
  }
}

/** Reads and checks a point. @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported */
export async function readPoint(
  storage: Storage,
  key: string,
): Promise<{ point: RecoveryPoint; sha256: string }> {
  const read = await againIfDamaged(async () => parsePoint(await storage.get(key), key));
  const { point } = read;
  if (pointKey(point.id) !== key) {
    throw new BlockferryError({
      code: "ObjectCorrupt",
      message: `${key} holds recovery point ${point.id}: it was renamed or copied.`,
      remedy: POINT_ID.test(point.id)
        ? `Rename it back to ${pointKey(point.id)}.`
        : "No version of blockferry makes such an id: find out who wrote it.",
      object: key,
      offset: 0,
    });
  }
  if (datesAgree(point)) return read;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} says that it was made at ${point.createdAt}, but its id contains another time: it was forged.`,
    remedy: `Find out who wrote it. To remove it, run \`blockferry-agent forget ${point.id}\`.`,
    object: key,
    offset: 0,
  });
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Newest points that are tried: junk must not cost a backup more reads than this. */
const MAX_TRIED = 16;

/**
 * Finds the predecessor of a point that is about to be written. That is the newest readable point with a
 * plausible date. Lists the names of all points, and usually reads one point. It reads all points of the same
 * second, since their names do not show which is the newest.
 * @param notice gets a warning if there are points, but none of those tried is usable
 * @returns null if none of the newest 16 is usable
 * @throws StorageUnavailable and other errors of a storage that does not answer
 */
export async function findPredecessor(
  storage: Storage,
  notice: (text: string) => void = () => undefined,
): Promise<PointReference | null> {
  const objects = await pointObjects(storage, ({ message, remedy }) => notice(`${message} ${remedy}`));
  const keys = objects
    .filter(({ key, ...stored }) => futureDate(pointIdOf(key), stored) === undefined)
    .map(({ key }) => key)
    .sort()
    .slice(-MAX_TRIED)
    .reverse();
  let newest: { point: RecoveryPoint; sha256: string } | undefined;
  for (const key of keys) {
    if (newest !== undefined && secondOf(pointIdOf(key)) !== secondOf(newest.point.id)) break;
    try {
      const read = await undefinedIfAbsent(() => readPoint(storage, key));
      if (read !== undefined && (newest === undefined || read.point.createdAt > newest.point.createdAt))
        newest = read;
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
    }
  }
  if (newest !== undefined) return { id: newest.point.id, sha256: newest.sha256 };
  if (objects.length > 0) {
    notice(
      `the new recovery point names no previous one: the newest of the ${objects.length} points in the repository cannot be read or have impossible dates. Run \`blockferry-agent verify\`.`,
    );
  }
  return null;
}
