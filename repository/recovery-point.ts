import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { byteCount } from "./byte-count.js";
import { EbsVolumeSchema, InstanceSchema } from "./instance.js";
import { readSealed } from "./read-sealed.js";
import { sealJson } from "./sealed-json.js";
import { undefinedIfAbsent } from "./storage/if-absent.js";
import { LockRecordSchema } from "./storage/object-lock.js";
import type { Storage } from "./storage/storage.js";
import { saysNothing, wasNotAnswered } from "./storage/storage-errors.js";

/** 256 TiB, four times the largest EBS volume: what a reader must be ready to make room for (4 bytes a chunk, taken as they are needed). */
export const MAX_VOLUME_BYTES = 2 ** 48;

/** EC2 attaches 128 volumes to an instance at most; images may be more. */
export const MAX_VOLUMES = 4096;

/** Of all volumes of a point: what byte counts hold exactly, 8 PiB less one. EC2's most are 128 volumes of 64 TiB. */
export const MAX_POINT_BYTES = Number.MAX_SAFE_INTEGER;

/** Of all volumes of a point. */
export const MAX_BAD_RANGES = 2 ** 17;

const BadRangeSchema = z.strictObject({ offset: byteCount, length: byteCount.check(z.positive()) });

const VolumeFieldsSchema = z.strictObject({
  /** Unique within the point; `restore --target NAME=PATH` refers to it. */
  name: z.string(),
  /** Where it was read from. */
  source: z.string(),
  sizeBytes: byteCount.check(z.maximum(MAX_VOLUME_BYTES)),
  /** Root id of the block map. */
  root: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Ranges that could not be read and stand as zeros in the point (`--skip-bad-blocks`). */
  badRanges: z.array(BadRangeSchema).check(z.refine(areInOrder, "they overlap, or are not in order")),
  /** The EBS volume that it is the content of, when a job says so. */
  ebs: z.optional(EbsVolumeSchema),
});

const VolumeSchema = VolumeFieldsSchema.check(
  z.refine(
    ({ sizeBytes, badRanges }) => endOf(badRanges.at(-1)) <= sizeBytes,
    "a bad range is beyond its end",
  ),
);

const VolumesSchema = z.array(VolumeSchema).check(
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

export const StatsSchema = z.strictObject({
  /** Bytes of all volumes. */
  sourceBytes: byteCount,
  /** Bytes of all-zero chunks and holes. */
  zeroBytes: byteCount,
  /** Bytes of chunks that the repository, or this backup, already had. */
  duplicateBytes: byteCount,
  /** Bytes of chunks that were new, before compression. */
  newBytes: byteCount,
  /** Bytes that the new chunks and block-map nodes take in packs. */
  storedBytes: byteCount,
});

const PointSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  repository: z.uuid(),
  startedAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  hostname: z.string(),
  tags: z.record(z.string(), z.string()),
  volumes: VolumesSchema,
  /** The EC2 instance that it is a backup of, when a job says so. */
  instance: z.optional(InstanceSchema),
  /** The job that it was made for. */
  job: z.optional(z.string()),
  stats: StatsSchema,
  /** Until when nobody can remove or replace what it needs, if it was made so (S3 Object Lock). */
  lock: z.optional(LockRecordSchema),
});

/** A recovery point: the commit record of a backup, written when all that it names is durable. */
export type RecoveryPoint = z.infer<typeof PointSchema>;
export type RecoveryPointVolume = z.infer<typeof VolumeSchema>;
export type BackupStats = z.infer<typeof StatsSchema>;

/** `20261123T112150Z-3f9a1c2b`: sorts by time, and is unique for backups of the same second. */
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

const ID = String.raw`\d{8}T\d{6}Z-[0-9a-f]{8}`;
/** As `newPointId` makes them. */
export const POINT_ID = new RegExp(`^${ID}$`);
/** Anything else in the folder is no recovery point, and left alone. */
const POINT_KEY = new RegExp(`^points/${ID}\\.json$`);

export interface PointList {
  /** Oldest first. */
  points: RecoveryPoint[];
  /** What is wrong with the points that cannot be read. */
  damaged: BlockferryError[];
}

/** A point that is forgotten while it is listed is left out. */
export async function listPoints(storage: Storage): Promise<PointList> {
  const list: PointList = { points: [], damaged: [] };
  for (const { key } of await storage.list("points/")) {
    if (!POINT_KEY.test(key)) continue;
    try {
      const point = await undefinedIfAbsent(() => readPoint(storage, key));
      if (point !== undefined) list.points.push(point);
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
      list.damaged.push(error);
    }
  }
  list.points.sort((a, b) => compareText(a.createdAt, b.createdAt) || compareText(a.id, b.id));
  return list;
}

/** How many points are read at once, for whoever needs the last few of them. */
const POINT_READS = 16;

/**
 * The points one by one, without those that are damaged or forgotten meanwhile, read only as far as they are asked for. Ids tell the
 * second of a point; within one the times in the points decide, as long as these are read at once.
 */
export async function* pointsNewestFirst(storage: Storage): AsyncGenerator<RecoveryPoint> {
  const keys = (await storage.list("points/")).map(({ key }) => key).filter((key) => POINT_KEY.test(key));
  keys.sort(compareText).reverse();
  for (let first = 0; first < keys.length; first += POINT_READS) {
    const reads = keys.slice(first, first + POINT_READS).map((key) => readIfWhole(storage, key));
    const points = (await Promise.all(reads)).filter((point) => point !== undefined);
    yield* points.sort((a, b) => compareText(b.createdAt, a.createdAt));
  }
}

/**
 * The point that a user names by its id, the beginning of it, or `latest`.
 * @throws PointNotFound; ObjectCorrupt when it is there but damaged
 */
export async function findPoint(storage: Storage, reference: string): Promise<RecoveryPoint> {
  const { points, damaged } = await listPoints(storage);
  if (reference === "latest") {
    const latest = points.at(-1);
    const newerDamaged = damaged.find(
      (error) => latest === undefined || (error.object ?? "") > pointKey(latest.id),
    );
    if (newerDamaged !== undefined) throw newerDamaged;
    if (latest === undefined) throw noSuchPoint(storage, "The repository holds no recovery point yet");
    return latest;
  }
  const exact = points.find(({ id }) => id === reference);
  if (exact !== undefined) return exact;
  const matches = points.filter(({ id }) => id.startsWith(reference));
  const damagedMatches = damaged.filter(({ object }) => object?.startsWith(`points/${reference}`));
  const [match] = matches;
  const [damagedMatch] = damagedMatches;
  const count = matches.length + damagedMatches.length;
  if (count > 1) throw noSuchPoint(storage, `${count} recovery points begin with ${reference}`);
  if (match !== undefined) return match;
  throw damagedMatch ?? noSuchPoint(storage, `There is no recovery point ${reference}`);
}

/**
 * The id of a point, damaged or not, by its beginning.
 * @throws PointNotFound
 */
export async function findPointId(storage: Storage, reference: string): Promise<string> {
  const keys = (await storage.list("points/")).map(({ key }) => key).filter((key) => POINT_KEY.test(key));
  const ids = keys.map((key) => key.slice("points/".length, -".json".length));
  if (ids.includes(reference)) return reference;
  const [match, ...others] = ids.filter((id) => id.startsWith(reference));
  if (match === undefined) throw noSuchPoint(storage, `There is no recovery point ${reference}`);
  if (others.length === 0) return match;
  throw noSuchPoint(storage, `${others.length + 1} recovery points begin with ${reference}`);
}

export function pointKey(id: string): string {
  return `points/${id}.json`;
}

async function readIfWhole(storage: Storage, key: string): Promise<RecoveryPoint | undefined> {
  try {
    return await undefinedIfAbsent(() => readPoint(storage, key));
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    return undefined;
  }
}

async function readPoint(storage: Storage, key: string): Promise<RecoveryPoint> {
  const point = await readSealed(storage, key, PointSchema);
  if (pointKey(point.id) === key) return point;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} holds recovery point ${point.id}: it was renamed or copied.`,
    remedy: `Give it back its name, ${pointKey(point.id)}.`,
    object: key,
    offset: 0,
  });
}

type BadRange = z.infer<typeof BadRangeSchema>;

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

function noSuchPoint(storage: Storage, message: string): BlockferryError {
  return new BlockferryError({
    code: "PointNotFound",
    message: `${message} in ${storage.name}.`,
    remedy: `See the recovery points with: blockferry-agent list --repo ${storage.name}`,
  });
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
