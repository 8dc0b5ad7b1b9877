import * as z from "zod/mini";
import {
  byteCount,
  EbsVolumeSchema,
  InstanceSchema,
  LockRecordSchema,
  PointReferenceSchema,
  PointV1Schema,
  StatsSchema,
} from "../repository/format/recovery-point.js";
import { ErrorRecordSchema, RelianceSchema } from "../repository/jobs/job-replies.js";
import { described, field, named, type Printed } from "./output-schema.js";

/** A number of things. */
export const count = z.int().check(z.nonnegative());

const errorFields = described(ErrorRecordSchema, {
  code: "One of the [error codes](errors.md); scripts match on it",
  message: "One line of text",
  remedy: "An instruction for the user",
  object:
    "The object concerned: a key of the repository, a device, a file, or an id; absent if there is none",
  offset: "Position in the object, in bytes; absent if there is none",
  details: "Lines that follow the message, if the error is about several things; else absent",
});

export const PrintedErrorSchema = named("Error", "An error or a problem, as data", errorFields);

/** The output of a command that failed. */
export const FailureSchema = z.strictObject({
  error: field("The reason of the failure", PrintedErrorSchema),
});

export const RangeSchema = named(
  "Range",
  "A range of bytes of a volume",
  z.strictObject({
    offset: field("First byte", byteCount),
    length: field("Number of bytes", byteCount),
  }),
);

const LockSchema = described(LockRecordSchema, {
  mode: "Mode of the lock (S3 Object Lock)",
  until: "End of the lock when it was made",
});

export const PrintedEbsVolumeSchema = named(
  "EbsVolume",
  "An EBS volume at the time of its snapshot",
  described(EbsVolumeSchema, {
    volumeId: "Id of the volume",
    sizeBytes: "Size in bytes",
    type: "Type, for example `gp3`",
    iops: "IOPS; null if the type has none",
    throughput: "Throughput in MiB/s; null if the type has none",
    kmsKeyId: "ARN of the KMS key; null for an unencrypted volume",
    encrypted: "Whether the volume was encrypted",
    attachName: "Device name of the attachment, as EC2 spells it",
    deleteOnTermination: "Whether EC2 deletes the volume with the instance",
    tags: "Tags of the volume",
  }),
);

export const PrintedInstanceSchema = described(InstanceSchema, {
  instanceId: "Id of the instance",
  accountId: "Id of its account",
  region: "Region",
  availabilityZone: "Availability Zone",
  instanceType: "Instance type",
  imageId: "Id of the image that it was launched from",
  subnetId: "Id of the subnet, or null",
  securityGroupIds: "Ids of the security groups",
  instanceProfileArn: "ARN of the instance profile, or null",
  keyName: "Name of the key pair, or null",
  architecture: "Architecture, for example `x86_64`",
  bootMode: "Boot mode of the image, or null",
  rootDeviceName: "Device name of the root volume",
  platform: "`windows`, or null",
  tags: "Tags of the instance",
  snapshotTime: "Common time of the snapshots of all volumes",
});

export const VolumeSchema = named(
  "Volume",
  "A volume of a recovery point",
  described(PointV1Schema.shape.volumes.def.element, {
    name: "Name of the volume, unique in the recovery point",
    source: "Path that the volume was read from",
    sizeBytes: "Size in bytes",
    root: "Root id of the block map, in hex",
    badRanges: field(
      "Ranges that could not be read and are zeros in the point, in order",
      z.array(RangeSchema),
    ),
    ebs: field(
      "The EBS volume with this content; absent if no job names it",
      z.optional(PrintedEbsVolumeSchema),
    ),
  }),
);

const PreviousSchema = described(PointReferenceSchema, {
  id: "Id of that point",
  sha256: "Seal of its document, in hex",
});

export const PrintedStatsSchema = described(StatsSchema, {
  sourceBytes: "Bytes of all volumes",
  zeroBytes: "Bytes of all-zero chunks and holes",
  duplicateBytes: "Bytes of chunks that the repository, or this backup, already had",
  newBytes: "Bytes of new chunks, before compression",
  storedBytes: "Bytes of the new chunks and block-map nodes as stored",
});

const pointFields = z.extend(
  described(PointV1Schema, {
    id: "Id: `YYYYMMDDTHHMMSSZ-` and 8 hex digits",
    repository: "UUID of the repository",
    startedAt: "Start of the backup",
    createdAt: "End of the backup",
    hostname: "Host name of the machine that made the backup; for a backup of an instance, the worker",
    tags: "Tags of the point",
    job: "Id of the job that the point was made for; else absent",
    version: field("Version of the document: 3 in a repository of version 3, else 1", z.literal([1, 3])),
    volumes: field("The volumes", z.array(VolumeSchema)),
    instance: field(
      "The EC2 instance that was backed up; absent if no job names it",
      z.optional(PrintedInstanceSchema),
    ),
    stats: field("Figures of the backup", PrintedStatsSchema),
    lock: field(
      "The lock on everything that the point needs; absent if there is none",
      z.optional(LockSchema),
    ),
  }),
  {
    previous: field(
      "The newest point at the time of this backup, or null; absent in version 1",
      z.optional(z.nullable(PreviousSchema)),
    ),
    requires: field(
      "Names of features that a reader of this point needs; absent if there are none",
      z.optional(z.array(z.string())),
    ),
  },
);

/** A recovery point as its document has it. */
const PointSchema = named(
  "RecoveryPoint",
  "A recovery point, as its [document](../format.md#sealed-json-configjson-and-recovery-points) in the repository",
  pointFields,
);

const future = z.nullable(PrintedErrorSchema);
const AGE = "Age in seconds; negative if the point is dated in the future";
const PASSED_OVER = "Keys of newer points that `latest` passed over: unreadable, or dated in the future";
const FUTURE = "Why the date of the point cannot be right, if it was asked for by its id; else null";
const MACHINE = "`instance i-...` or `host NAME`";

/** The recovery point that a command was asked for. */
export const ChosenPointSchema = named(
  "ChosenPoint",
  "The recovery point that a command chose: it shows which point `latest` stands for",
  z.strictObject({
    id: field("Id of the point", z.string()),
    machine: field(MACHINE, z.string()),
    instance: field("Id of the instance, or null", z.nullable(z.string())),
    host: field("Host name in the point; for a backup of an instance, the worker", z.string()),
    createdAt: field("End of the backup", z.iso.datetime()),
    ageSeconds: field(AGE, z.int()),
    volumes: field("Names of the volumes", z.array(z.string())),
    newerPassedOver: field(PASSED_OVER, z.array(z.string())),
    future: field(FUTURE, future),
  }),
);

export const PrintedRelianceSchema = named(
  "Reliance",
  "Chunks and block-map nodes of the repository that a backup [relies on](../how-to/verify.md#what-a-backup-relies-on)",
  described(RelianceSchema, {
    knownBytes: "Bytes of these chunks, each counted once",
    unreadBytes: "The part of them in packs that no verification on the machine of the backup has read",
    provenBytes: "The part of them that the backup has read and proven",
    storedAgainBytes: "Bytes of listed chunks that proved wrong, and that the backup has stored itself",
    alarms: "The faults in the repository, by pack",
  }),
);

/** Fields of several results. */
export const strings = z.array(z.string());
export const errors = z.array(PrintedErrorSchema);
export const point = field("Id of the recovery point", z.string());
export const recoveryPoint = field("The recovery point, and how it was chosen", ChosenPointSchema);

/** Results of the commands that both programs have. */
export const ListSchema = z.strictObject({
  points: field("The recovery points that pass the filters, oldest first", z.array(PointSchema)),
  damaged: field(
    "Errors of points that cannot be read; the exit code is then 3",
    z.array(PrintedErrorSchema),
  ),
  future: field("Errors about points whose dates cannot be right", z.array(PrintedErrorSchema)),
});

export const ShowSchema = z.extend(pointFields, {
  machine: field(MACHINE, z.string()),
  ageSeconds: field(AGE, z.int()),
  newerPassedOver: field(PASSED_OVER, z.array(z.string())),
  future: field(FUTURE, future),
  pin: field("[Pin](../how-to/encryption.md#pins-and-trust-on-first-use) of the repository", z.string()),
});

export type Failure = Printed<typeof FailureSchema>;
export type ListOutput = Printed<typeof ListSchema>;
export type ShowOutput = Printed<typeof ShowSchema>;
