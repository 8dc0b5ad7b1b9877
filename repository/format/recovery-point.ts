import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { featureNames, READ_FEATURES, type RepositoryConfig, unknownFeatures } from "./config.js";
import { MAX_BAD_RANGES } from "./object-bounds.js";
import { parseJson, parseValue, sealOf, unsealText } from "./sealed-json.js";

/** A number of bytes in a JSON document. */
export const byteCount = z.int().check(z.nonnegative());

/** Tags of AWS, and those of blockferry. */
export const tagsSchema = z.record(z.string(), z.string());

/**
 * An EBS volume at the time of its snapshot: the parameters with which CreateVolume creates an equal one (EC2
 * API reference, CreateVolume and EbsInstanceBlockDevice).
 */
const ebsVolumeFields = {
  volumeId: z.string().check(z.regex(/^vol-[0-9a-f]+$/)),
  sizeBytes: byteCount,
  /** `gp3`, `io2`, ... */
  type: z.string(),
  /** Null if the type has none. */
  iops: z.nullable(z.int().check(z.nonnegative())),
  /** In MiB/s; null if the type has none. */
  throughput: z.nullable(z.int().check(z.nonnegative())),
  /** ARN of its KMS key; null for an unencrypted volume. */
  kmsKeyId: z.nullable(z.string()),
  encrypted: z.boolean(),
  /** The device name that EC2 uses, for example `/dev/xvda`. */
  attachName: z.string(),
  deleteOnTermination: z.boolean(),
  tags: tagsSchema,
};

/**
 * An EC2 instance at the time of its snapshots: the parameters with which RunInstances creates an equal one.
 */
const instanceFields = {
  instanceId: z.string().check(z.regex(/^i-[0-9a-f]+$/)),
  accountId: z.string().check(z.regex(/^\d{12}$/)),
  region: z.string(),
  availabilityZone: z.string(),
  instanceType: z.string(),
  imageId: z.string(),
  subnetId: z.nullable(z.string()),
  securityGroupIds: z.array(z.string()),
  instanceProfileArn: z.nullable(z.string()),
  keyName: z.nullable(z.string()),
  architecture: z.string(),
  bootMode: z.nullable(z.string()),
  rootDeviceName: z.string(),
  platform: z.nullable(z.string()),
  tags: tagsSchema,
  /** The common time of the snapshots of all its volumes. */
  snapshotTime: z.iso.datetime(),
};

export const EbsVolumeSchema = z.strictObject(ebsVolumeFields);
export const InstanceSchema = z.strictObject(instanceFields);

/** For documents of later versions, which may have fields that are unknown here. */
const LaterEbsVolumeSchema = z.object(ebsVolumeFields);
const LaterInstanceSchema = z.object(instanceFields);

export type EbsVolume = z.infer<typeof EbsVolumeSchema>;
export type Instance = z.infer<typeof InstanceSchema>;

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

type LockRecord = z.infer<typeof LockRecordSchema>;

export function toLockRecord({ mode, until }: ObjectLock): LockRecord {
  return { mode, until: until.toISOString() };
}

export function fromLockRecord({ mode, until }: LockRecord): ObjectLock {
  return { mode, until: new Date(until) };
}

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

export const ID = String.raw`\d{8}T\d{6}Z-[0-9a-f]{8}`;
/** The form of ids from `newPointId`. */
export const POINT_ID = new RegExp(`^${ID}$`);

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
    z.refine(haveOwnNames, "two have the same name"),
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
export const PointV1Schema = z.strictObject({
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

export function pointKey(id: string): string {
  return `points/${id}.json`;
}

export function pointIdOf(key: string): string {
  return key.slice("points/".length, -".json".length);
}

/** Parses a point. A point of a later version is reported as such before any other field is checked. */
export function parsePoint(bytes: Buffer, key: string): { point: RecoveryPoint; sha256: string } {
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

/** The machine of a point, as the point names it: an EC2 instance, or else a host. */
type Machine = { instance: string } | { host: string };

/**
 * Returns the machine of a point. Points of jobs count by their instance,
 * since their host name is the worker's.
 */
export function machineOf({ instance, hostname }: Pick<RecoveryPoint, "instance" | "hostname">): Machine {
  return instance === undefined ? { host: hostname } : { instance: instance.instanceId };
}

/** Returns `instance i-0123456789abcdef0` or `host web1`: equal only for points of one machine. */
export function machineName(point: Pick<RecoveryPoint, "instance" | "hostname">): string {
  const machine = machineOf(point);
  return "instance" in machine ? `instance ${machine.instance}` : `host ${machine.host}`;
}
