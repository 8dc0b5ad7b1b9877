import * as z from "zod/mini";
import { EbsVolumeSchema, InstanceSchema } from "../../repository/format/recovery-point.js";
import { PartySchema } from "../aws/party.js";
import { RequestSchema, RestoreRequestSchema } from "./request.js";
import { ROUTES } from "./route.js";

export const GIB = 1024 ** 3;

const PlannedVolumeSchema = z.strictObject({
  /** The volume's name in the recovery point. */
  name: z.string(),
  origin: EbsVolumeSchema,
  key: z.enum(["none", "customer", "aws-managed"]),
});

export const PlanSchema = z.strictObject({
  /** Absent in journals from before restores existed. */
  kind: z._default(z.literal("backup"), "backup"),
  jobId: z.string(),
  repositoryId: z.string(),
  request: RequestSchema,
  route: z.enum(ROUTES),
  source: PartySchema,
  worker: PartySchema,
  /** The instance when the plan was made; the snapshot time is not known yet. */
  instance: z.omit(InstanceSchema, { snapshotTime: true }),
  volumes: z.array(PlannedVolumeSchema),
  /** Ids of excluded data volumes; the root volume is never listed here. */
  excludedDataVolumes: z.array(z.string()),
  /** The zone of the worker, and therefore of its volumes. */
  availabilityZone: z.string(),
  /** ARN of the key that encrypts the temporary volumes. */
  volumeKey: z.string(),
  /** Root device of the image, for a worker that is launched. */
  workerRoot: z.nullable(z.strictObject({ deviceName: z.string(), sizeGib: z.nullable(z.int()) })),
  /** ARN of the key that encrypts the copies; null if the route makes no copies. */
  copyKey: z.nullable(z.string()),
  /** Keys that AWS manages: every principal in their account may use them through EBS. */
  awsManagedKeys: z.array(z.string()),
});

const PlannedRestoredVolumeSchema = z.strictObject({
  /** The volume's name in the recovery point. */
  name: z.string(),
  /**
   * The recorded size rounded up to whole GiB, because EBS sizes volumes in GiB and a file may have any size.
   */
  sizeGib: z.int(),
  type: z.string(),
  /** Null where the volume type has no configurable IOPS. */
  iops: z.nullable(z.int()),
  /** In MiB/s; null where the volume type has no configurable throughput. */
  throughput: z.nullable(z.int()),
  /** The device name on the backed-up instance; null where the recovery point does not record it. */
  attachName: z.nullable(z.string()),
  /** Whether EC2 deletes the volume when the restored instance is terminated. */
  deleteOnTermination: z.boolean(),
  /** Bytes that the backup could not read and that a restore fills with zeros. Absent in older journals. */
  unreadableBytes: z._default(z.int(), 0),
  tags: z.record(z.string(), z.string()),
});

export const RestorePlanSchema = z.strictObject({
  kind: z.literal("restore"),
  jobId: z.string(),
  repositoryId: z.string(),
  request: RestoreRequestSchema,
  route: z.enum(["same-account", "cross-account"]),
  /** The account and Region that receive the restored resources. */
  source: PartySchema,
  worker: PartySchema,
  /** Id of the recovery point. */
  point: z.string(),
  volumes: z.array(PlannedRestoredVolumeSchema),
  /** The zone of the worker. */
  availabilityZone: z.string(),
  /** ARN of the key that encrypts the volumes that the worker fills. */
  volumeKey: z.string(),
  /** The instance that is launched, with `--to instance`. */
  launch: z.nullable(
    z.strictObject({
      imageId: z.string(),
      instanceType: z.string(),
      subnetId: z.nullable(z.string()),
      securityGroupIds: z.array(z.string()),
      profile: z.nullable(z.string()),
      /**
       * Name and owner of the image as EC2 reports them, for display; absent in journals of earlier versions.
       */
      image: z.optional(z.strictObject({ name: z.string(), owner: z.string() })),
      keyName: z.nullable(z.string()),
      /** Name of the volume that the instance boots from. */
      rootVolume: z.string(),
      /** Device names of the image's additional volumes, which are left out. */
      leftOutDevices: z.array(z.string()),
      tags: z.record(z.string(), z.string()),
    }),
  ),
  /** The Availability Zone of the restored volumes. */
  targetZone: z.string(),
  /** ARN of the key that encrypts resources in the target account; null if that is the worker's account. */
  targetKey: z.nullable(z.string()),
  /** As in the plan of a backup. */
  workerRoot: PlanSchema.shape.workerRoot,
  awsManagedKeys: z.array(z.string()),
});

/** Every decision of a backup, made before any resource is created. Kept in the journal. */
export type Plan = z.infer<typeof PlanSchema>;
/** Every decision of a restore, made before any resource is created. Kept in the journal. */
export type RestorePlan = z.infer<typeof RestorePlanSchema>;
export type JobPlan = Plan | RestorePlan;
export type RestoredVolume = RestorePlan["volumes"][number];
export type PlannedVolume = z.infer<typeof PlannedVolumeSchema>;

/**
 * Returns the names of a job's volumes in its journal and tags.
 * A backup uses the ids of the instance's volumes; a restore uses the volume names of the recovery point.
 */
export function volumeNamesOf(plan: JobPlan): string[] {
  return plan.kind === "backup"
    ? plan.volumes.map(({ origin }) => origin.volumeId)
    : plan.volumes.map(({ name }) => name);
}
