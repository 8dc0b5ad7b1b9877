import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { byteCount } from "./byte-count.js";
import type { RepositoryConfig } from "./config.js";
import { featureNames, READ_FEATURES, unknownFeatures } from "./features.js";
import { EbsVolumeSchema, InstanceSchema, LaterEbsVolumeSchema, LaterInstanceSchema } from "./instance.js";
import { datesAgree, futureDate } from "./point-dates.js";
import { parseJson, parseValue, sealJson, sealOf, unsealText } from "./sealed-json.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import { undefinedIfAbsent } from "./storage/if-absent.js";
import { LockRecordSchema } from "./storage/object-lock.js";
import type { Storage, StoredObject } from "./storage/storage.js";
import { saysNothing, wasNotAnswered } from "./storage/storage-errors.js";

/**
 * 256 TiB, four times the largest EBS volume: a bound for the memory of a reader (4 bytes a chunk, allocated
 * on demand).
 */
export const MAX_VOLUME_BYTES = 2 ** 48;

/** EC2 attaches at most 128 volumes to an instance; images may be more. */
export const MAX_VOLUMES = 4096;

/**
 * Limit for all volumes of a point together: 8 PiB less one, which byte counts represent exactly. EC2 reaches
 * 128 volumes of 64 TiB.
 */
export const MAX_POINT_BYTES = Number.MAX_SAFE_INTEGER;

/** Limit for all volumes of a point together. */
export const MAX_BAD_RANGES = 2 ** 17;

const ID = String.raw`\d{8}T\d{6}Z-[0-9a-f]{8}`;
/** The form of ids from `newPointId`. */
export const POINT_ID = new RegExp(`^${ID}$`);
/** Other objects in the folder are not recovery points and are left alone. */
const POINT_KEY = new RegExp(`^points/${ID}\\.json$`);

const SHA256_HEX = /^[0-9a-f]{64}$/;

const badRangeFields = { offset: byteCount, length: byteCount.check(z.positive()) };

/** Creates the object schemas of a version: version 1 refuses unknown fields, version 3 ignores them. */
type ObjectOf = typeof z.object;
const strictly = z.strictObject as ObjectOf;

const volumesSchema = (object: ObjectOf, ebs: typeof LaterEbsVolumeSchema) => {
  const fields = object({
    /** Unique within the point; `restore --target NAME=PATH` refers to it. */
    name: z.string(),
    /** The path from which the volume was read. */
    source: z.string(),
    sizeBytes: byteCount.check(z.maximum(MAX_VOLUME_BYTES)),
    /** Root id of the block map. */
    root: z.string().check(z.regex(SHA256_HEX)),
    /** Unreadable ranges, which are zeros in the point (`--skip-bad-blocks`). */
    badRanges: z
      .array(object(badRangeFields))
      .check(z.refine(areInOrder, "they overlap, or are not in order")),
    /** The EBS volume with this content, if a job names it. */
    ebs: z.optional(ebs),
  });
  const volume = fields.check(
    z.refine(
      ({ sizeBytes, badRanges }) => endOf(badRanges.at(-1)) <= sizeBytes,
      "a bad range is beyond its end",
    ),
  );
  return z.array(volume).check(
    z.maxLength(MAX_VOLUMES),
    z.refine(haveOwnNames, "two have one name"),
    z.refine(
      (volumes) => totalOf(volumes, ({ sizeBytes }) => sizeBytes) <= MAX_POINT_BYTES,
      "too large in all",
    ),
    z.refine(
      (volumes) => totalOf(volumes, ({ badRanges }) => badRanges.length) <= MAX_BAD_RANGES,
      `more than ${MAX_BAD_RANGES} bad ranges`,
    ),
  );
};

const statsFields = {
  /** Bytes of all volumes. */
  sourceBytes: byteCount,
  /** Bytes of all-zero chunks and holes. */
  zeroBytes: byteCount,
  /** Bytes of chunks that the repository, or this backup, already had. */
  duplicateBytes: byteCount,
  /** Bytes of new chunks, before compression. */
  newBytes: byteCount,
  /** Bytes of the new chunks and block-map nodes in packs. */
  storedBytes: byteCount,
};

export const StatsSchema = z.strictObject(statsFields);

const commonFields = {
  id: z.string(),
  repository: z.uuid(),
  startedAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  hostname: z.string(),
  tags: z.record(z.string(), z.string()),
  /** The job for which the point was made. */
  job: z.optional(z.string()),
};

/** A point in a repository of version 1 or 2. */
const PointV1Schema = z.strictObject({
  ...commonFields,
  version: z.literal(1),
  volumes: volumesSchema(strictly, EbsVolumeSchema as typeof LaterEbsVolumeSchema),
  /** The EC2 instance of the backup, if a job names it. */
  instance: z.optional(InstanceSchema),
  stats: StatsSchema,
  /** Lock on everything that the point needs, if there is one (S3 Object Lock). */
  lock: z.optional(LockRecordSchema),
});

/** Refers to a point by its id and its seal, in hex digits. */
export const PointReferenceSchema = z.object({
  id: z.string().check(z.regex(POINT_ID)),
  sha256: z.string().check(z.regex(SHA256_HEX)),
});
export type PointReference = z.infer<typeof PointReferenceSchema>;

const PointV3Schema = z.object({
  ...commonFields,
  version: z.literal(3),
  volumes: volumesSchema(z.object, LaterEbsVolumeSchema),
  instance: z.optional(LaterInstanceSchema),
  stats: z.object(statsFields),
  lock: z.optional(z.object(LockRecordSchema.shape)),
  /** The newest point at the time of this backup. */
  previous: z.nullable(PointReferenceSchema),
  /** Features beyond version 3 that a reader of this point needs. */
  requires: z.optional(featureNames),
});

const PointSchema = z.discriminatedUnion("version", [PointV1Schema, PointV3Schema]);

/** A recovery point: the commit record of a backup, written when everything that it refers to is durable. */
export type RecoveryPoint = Omit<z.infer<typeof PointV1Schema>, "version"> &
  Partial<Pick<z.infer<typeof PointV3Schema>, "previous" | "requires">> & { version: 1 | 3 };
export type RecoveryPointVolume = RecoveryPoint["volumes"][number];
export type BackupStats = RecoveryPoint["stats"];

/**
 * Returns the fields of a new point that depend on the repository's version: older readers refuse the fields
 * of version 3.
 */
export function versionFields(
  { version }: RepositoryConfig,
  previous: PointReference | null,
): Pick<RecoveryPoint, "version" | "previous"> {
  return version === 3 ? { version, previous } : { version: 1 };
}

/**
 * Returns an id such as `20261123T112150Z-3f9a1c2b`: it sorts by time,
 * and is unique for backups of the same second.
 */
export function newPointId(createdAt: Date): string {
  const seconds = createdAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  return `${seconds}Z-${randomBytes(4).toString("hex")}`;
}

export async function writePoint(storage: Storage, point: RecoveryPoint): Promise<void> {
  await storage.put(pointKey(point.id), sealJson(point), { ifNoneMatch: "*" });
}

export function removePoint(storage: Storage, id: string): Promise<void> {
  return storage.delete([pointKey(id)]);
}

export interface PointList {
  /** Oldest first. */
  points: RecoveryPoint[];
  /** Errors of unreadable points. */
  damaged: BlockferryError[];
  /** Why the dates of points cannot be right, by point id; includes unreadable points. See `futureDate`. */
  future: Map<string, BlockferryError>;
  /** Seal and storage time of the readable points, by id. */
  stored: Map<string, StoredPoint>;
}

interface StoredPoint {
  /** The hex digits of its seal. */
  sha256: string;
  modifiedAt: Date | undefined;
}

/** Lists all points. A point that is forgotten during the listing is left out. */
export async function listPoints(storage: Storage): Promise<PointList> {
  const list: PointList = { points: [], damaged: [], future: new Map(), stored: new Map() };
  for (const { key, modifiedAt } of await pointObjects(storage)) {
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

/** Returns all objects with the name of a recovery point. */
export async function pointObjects(storage: Storage): Promise<StoredObject[]> {
  return (await storage.list("points/")).filter(({ key }) => POINT_KEY.test(key));
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
  for (const { key, ...stored } of await pointObjects(storage)) {
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

export function pointKey(id: string): string {
  return `points/${id}.json`;
}

export function pointIdOf(key: string): string {
  return key.slice("points/".length, -".json".length);
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
        ? `Give it back its name, ${pointKey(point.id)}.`
        : "No version of blockferry makes such an id: find out who wrote it.",
      object: key,
      offset: 0,
    });
  }
  if (datesAgree(point)) return read;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} says that it was made at ${point.createdAt}, which is not the time in its id: it was forged.`,
    remedy: `Find out who wrote it. To remove it, run \`blockferry-agent forget ${point.id}\`.`,
    object: key,
    offset: 0,
  });
}

/** Parses a point. A point of a later version is reported as such before any other field is checked. */
function parsePoint(bytes: Buffer, key: string): { point: RecoveryPoint; sha256: string } {
  const body = parseJson(unsealText(bytes, key), key);
  const { requires = [] } = parseValue(body, RequiresSchema, key);
  const unknown = unknownFeatures(requires, READ_FEATURES);
  if (unknown.length > 0) throw ofLaterVersion(key, unknown);
  return { point: parseValue(body, PointSchema, key), sha256: sealOf(bytes) };
}

const RequiresSchema = z.object({ requires: z.optional(featureNames) });

function ofLaterVersion(key: string, features: string[]): BlockferryError {
  return new BlockferryError({
    code: "RepositoryUnsupported",
    message: `${key} was written by a later version of blockferry: reading it needs ${features.join(", ")}.`,
    remedy: "Use that version for it. The other recovery points can be read with this one.",
    object: key,
  });
}

interface BadRange {
  offset: number;
  length: number;
}

function areInOrder(ranges: readonly BadRange[]): boolean {
  return ranges.every(({ offset }, number) => number === 0 || offset >= endOf(ranges[number - 1]));
}

function endOf(range: BadRange | undefined): number {
  return range === undefined ? 0 : range.offset + range.length;
}

function haveOwnNames(volumes: readonly { name: string }[]): boolean {
  return new Set(volumes.map(({ name }) => name)).size === volumes.length;
}

function totalOf<T>(items: readonly T[], count: (item: T) => number): number {
  return items.reduce((sum, item) => sum + count(item), 0);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
