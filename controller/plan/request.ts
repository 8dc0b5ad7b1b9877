import * as z from "zod/mini";
import { LockRecordSchema } from "../../repository/format/recovery-point.js";
import { StorageChoicesSchema } from "../../repository/storage/storage-choices.js";
import { AccessSchema } from "../aws/clients.js";

/** The first group is the account id. */
export const ROLE_ARN = /^arn:[a-z-]+:iam::(\d{12}):role\/.+$/;

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

/** The part that every job needs: two accounts, a worker and a repository. */
const common = {
  source: AccessSchema,
  worker: AccessSchema,
  workerInstance: WorkerSchema,
  /**
   * `source`: the worker is in the account of the instance, and that account's credentials serve both
   * parties.
   */
  workerAccount: z.enum(["source", "worker"]),
  /** ARNs of the keys that sign the job and the agent's replies; absent where they are not signed. */
  jobKey: z.optional(z.string()),
  replyKey: z.optional(z.string()),
  /**
   * The location of the repository, for a launched worker. The job itself says how the agent writes to it.
   */
  repository: z.strictObject({
    repo: z.string(),
    region: z.optional(z.string()),
    endpointUrl: z.optional(z.string()),
    forcePathStyle: z.optional(z.literal(true)),
    bucketOwner: z.optional(z.string()),
    allowInsecureHttp: z.optional(z.literal(true)),
    /** A pin of the repository that the controller has opened: its id and its encryption. */
    expect: z.optional(z.string()),
  }),
};

export const RequestSchema = z.strictObject({
  ...common,
  instanceId: z.string(),
  /** Encrypts the temporary volumes; null for the default EBS key of the worker's account and Region. */
  volumeKey: z.nullable(z.string()),
  /** Encrypts copies of snapshots that cannot be shared or that go to another Region. */
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
    /**
     * The known chunks that the agent verifies: a share in percent, or the chunks in packs that were never
     * read.
     */
    proveKnown: z.optional(z.union([z.literal("new-packs"), z.number()])),
    /** Makes the agent store the figures for a report. The path of the report page is not part of the job. */
    report: z.optional(z.literal(true)),
  }),
  tags: z.record(z.string(), z.string()),
});

export const RestoreRequestSchema = z.strictObject({
  ...common,
  /** The recovery point as the user names it: its id, the start of the id, or `latest`. */
  point: z.string(),
  to: z.enum(["volumes", "snapshot", "instance"]),
  /** Names of the volumes to restore; an empty list for all. */
  volumes: z.array(z.string()),
  /**
   * Encrypts the volumes that the worker fills; null for the default EBS key of the worker's account and
   * Region.
   */
  volumeKey: z.nullable(z.string()),
  /** Id of the instance that the volumes are attached to. */
  attachTo: z.nullable(z.string()),
  /**
   * How to launch the instance, with `--to instance`.
   * `original` stands for the value that the point records. A point is not trusted to choose the permissions
   * of an instance, so null means:
   * - profile or key pair: none
   * - security groups: the default group of the VPC
   * - image: the recorded image, only where this account or Amazon owns it
   * - instance type or subnet: the recorded value
   */
  launch: z.nullable(
    z.strictObject({
      imageId: z.nullable(z.string()),
      instanceType: z.nullable(z.string()),
      subnetId: z.nullable(z.string()),
      securityGroupIds: z.nullable(z.array(z.string())),
      /** Name, ARN, `original` or `none`. */
      profile: z.nullable(z.string()),
      keyName: z.nullable(z.string()),
      /** Tags in addition to the recorded tags. */
      tags: z.record(z.string(), z.string()),
    }),
  ),
  /**
   * Encrypts resources in the target account, if that differs from the worker's; null for its default EBS
   * key.
   */
  targetKey: z.nullable(z.string()),
  /** Availability Zone of the volumes; null for the worker's zone, or the zone recorded in the point. */
  zone: z.nullable(z.string()),
  options: z.strictObject({
    threads: z.nullable(z.int()),
    storage: z.optional(StorageChoicesSchema),
  }),
});

/** The parsed command line of `blockferry backup`. Kept in the journal, for `resume`. */
export type BackupRequest = z.infer<typeof RequestSchema>;
/** The parsed command line of `blockferry restore`. Kept in the journal, for `resume`. */
export type RestoreRequest = z.infer<typeof RestoreRequestSchema>;
export type JobRequest = BackupRequest | RestoreRequest;
export type WorkerRequest = z.infer<typeof WorkerSchema>;
