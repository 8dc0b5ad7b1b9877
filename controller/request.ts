import * as z from "zod/mini";
import { LockRecordSchema } from "../repository/storage/object-lock.js";
import { StorageChoicesSchema } from "../repository/storage/storage-choices.js";

/** How one party's AWS account is reached. Credentials themselves are never kept. */
const AccessSchema = z.strictObject({
  profile: z.nullable(z.string()),
  roleArn: z.nullable(z.string()),
  externalId: z.nullable(z.string()),
  region: z.nullable(z.string()),
});

const WorkerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("existing"), instanceId: z.string() }),
  z.strictObject({
    kind: z.literal("launch"),
    imageId: z.string(),
    subnetId: z.string(),
    instanceType: z.string(),
    /** Name or ARN of the instance profile that gives the agent its role. */
    profile: z.string(),
    securityGroupIds: z.array(z.string()),
  }),
]);

/** What every job needs: two accounts, a worker, and a repository. */
const common = {
  source: AccessSchema,
  worker: AccessSchema,
  workerInstance: WorkerSchema,
  /** `source`: the worker stands in the account of the instance, and that account's credentials serve for both. */
  workerAccount: z.enum(["source", "worker"]),
  /** ARN of the key that the job is signed with; left out where it is not signed, as in journals of before there was signing. */
  jobKey: z.optional(z.string()),
  /** What a launched worker is told about the repository, and nothing else: where it is. How it is written, the job says. */
  repository: z.strictObject({
    repo: z.string(),
    region: z.optional(z.string()),
    endpointUrl: z.optional(z.string()),
    forcePathStyle: z.optional(z.literal(true)),
  }),
};

export const RequestSchema = z.strictObject({
  ...common,
  instanceId: z.string(),
  /** Encrypts the temporary volumes; null for the default EBS key of the worker's account and Region. */
  volumeKey: z.nullable(z.string()),
  /** Re-encrypts copies of snapshots that cannot be shared, or that go to another Region. */
  bridgeKey: z.nullable(z.string()),
  excludedVolumes: z.array(z.string()),
  root: z.enum(["included", "excluded"]),
  volumeType: z.string(),
  iops: z.nullable(z.int()),
  throughputMibps: z.nullable(z.int()),
  initializationRateMibps: z.nullable(z.int()),
  snapshots: z.enum(["delete", "keep"]),
  options: z.strictObject({
    compression: z.enum(["lz4", "none"]),
    threads: z.nullable(z.union([z.literal("auto"), z.int()])),
    queueDepth: z.nullable(z.int()),
    badBlocks: z.enum(["fail", "skip"]),
    lock: z.optional(LockRecordSchema),
    storage: z.optional(StorageChoicesSchema),
    /** The agent is to leave the figures of a report. Where the page goes is no part of the job. */
    report: z.optional(z.literal(true)),
  }),
  tags: z.record(z.string(), z.string()),
});

export const RestoreRequestSchema = z.strictObject({
  ...common,
  /** As the user names the recovery point: its id, the beginning of it, or `latest`. */
  point: z.string(),
  to: z.enum(["volumes", "snapshot", "instance"]),
  /** Names of the volumes to be restored; none for all. */
  volumes: z.array(z.string()),
  /** Encrypts the volumes that the worker fills; null for the default EBS key of the worker's account and Region. */
  volumeKey: z.nullable(z.string()),
  /** The instance that the volumes are attached to. */
  attachTo: z.nullable(z.string()),
  /** With `instance`: what is to be otherwise than recorded; null for as recorded. */
  launch: z.nullable(
    z.strictObject({
      imageId: z.nullable(z.string()),
      instanceType: z.nullable(z.string()),
      subnetId: z.nullable(z.string()),
      securityGroupIds: z.nullable(z.array(z.string())),
      /** Name or ARN. */
      profile: z.nullable(z.string()),
      keyName: z.nullable(z.string()),
      /** Beside those that are recorded. */
      tags: z.record(z.string(), z.string()),
    }),
  ),
  /** Encrypts what ends up in another account than the worker's; null for that account's default EBS key. */
  targetKey: z.nullable(z.string()),
  /** Availability Zone of the volumes; null for the worker's, or the one that they were in. */
  zone: z.nullable(z.string()),
  options: z.strictObject({
    threads: z.nullable(z.int()),
    storage: z.optional(StorageChoicesSchema),
  }),
});

/** What a user asked for: the command line of `blockferry backup`, parsed. Kept in the journal, for `resume`. */
export type BackupRequest = z.infer<typeof RequestSchema>;
/** The same of `blockferry restore`. */
export type RestoreRequest = z.infer<typeof RestoreRequestSchema>;
export type JobRequest = BackupRequest | RestoreRequest;
export type Access = z.infer<typeof AccessSchema>;
export type WorkerRequest = z.infer<typeof WorkerSchema>;
