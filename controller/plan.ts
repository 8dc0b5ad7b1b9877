import * as z from "zod/mini";
import { EbsVolumeSchema, InstanceSchema } from "../repository/instance.js";
import { RequestSchema, RestoreRequestSchema } from "./request.js";
import { ROUTES } from "./route.js";

export const GIB = 1024 ** 3;

const PartySchema = z.strictObject({
  accountId: z.string(),
  /** Who acts there, for messages and key policies: the role behind a session, if there is one. */
  principalArn: z.string(),
  partition: z.string(),
  region: z.string(),
});

const PlannedVolumeSchema = z.strictObject({
  /** The volume's name in the recovery point. */
  name: z.string(),
  origin: EbsVolumeSchema,
  key: z.enum(["none", "customer", "aws-managed"]),
});

export const PlanSchema = z.strictObject({
  /** Journals of before there were restores do not say it. */
  kind: z._default(z.literal("backup"), "backup"),
  jobId: z.string(),
  repositoryId: z.string(),
  request: RequestSchema,
  route: z.enum(ROUTES),
  source: PartySchema,
  worker: PartySchema,
  /** As it was when the plan was made; the moment of the snapshot is not known yet. */
  instance: z.omit(InstanceSchema, { snapshotTime: true }),
  volumes: z.array(PlannedVolumeSchema),
  /** Ids of volumes that are left out; the root volume is not among them. */
  excludedDataVolumes: z.array(z.string()),
  /** Where the worker is or will be: its volumes must be there too. */
  availabilityZone: z.string(),
  /** ARN of the key of the temporary volumes. */
  volumeKey: z.string(),
  /** Root device of the image of a worker that is launched. */
  workerRoot: z.nullable(z.strictObject({ deviceName: z.string(), sizeGib: z.nullable(z.int()) })),
  /** ARN of the key of the copies, if the route makes any. */
  copyKey: z.nullable(z.string()),
  /** Which of the keys AWS manages: everybody in their account may use those through EBS. */
  awsManagedKeys: z.array(z.string()),
});

const RestoredVolumeSchema = z.strictObject({
  /** The volume's name in the recovery point. */
  name: z.string(),
  /** EBS makes volumes of whole GiB: the recorded size, rounded up where a file was backed up. */
  sizeGib: z.int(),
  type: z.string(),
  /** Null where the type has none to choose. */
  iops: z.nullable(z.int()),
  /** In MiB/s; null where the type has none to choose. */
  throughput: z.nullable(z.int()),
  /** The device name at the instance that was backed up; null where the point does not tell. */
  attachName: z.nullable(z.string()),
  /** Whether it goes with the instance that is restored. */
  deleteOnTermination: z.boolean(),
  /** What the backup could not read, and a restore fills with zeros. Older journals do not tell. */
  unreadableBytes: z._default(z.int(), 0),
  tags: z.record(z.string(), z.string()),
});

export const RestorePlanSchema = z.strictObject({
  kind: z.literal("restore"),
  jobId: z.string(),
  repositoryId: z.string(),
  request: RestoreRequestSchema,
  route: z.enum(["same-account", "cross-account"]),
  /** Where what is restored ends up. */
  source: PartySchema,
  worker: PartySchema,
  /** Id of the recovery point. */
  point: z.string(),
  volumes: z.array(RestoredVolumeSchema),
  /** Where the worker is or will be. */
  availabilityZone: z.string(),
  /** ARN of the key of the volumes that the worker fills. */
  volumeKey: z.string(),
  /** The instance that is launched, with `--to instance`. */
  launch: z.nullable(
    z.strictObject({
      imageId: z.string(),
      instanceType: z.string(),
      subnetId: z.nullable(z.string()),
      securityGroupIds: z.array(z.string()),
      profile: z.nullable(z.string()),
      keyName: z.nullable(z.string()),
      /** Name of the volume that it boots from. */
      rootVolume: z.string(),
      /** Device names of volumes that the image would add. */
      leftOutDevices: z.array(z.string()),
      tags: z.record(z.string(), z.string()),
    }),
  ),
  /** Where the volumes end up. */
  targetZone: z.string(),
  /** ARN of the key of what ends up in another account than the worker's; null in the same. */
  targetKey: z.nullable(z.string()),
  /** As in the plan of a backup. */
  workerRoot: PlanSchema.shape.workerRoot,
  awsManagedKeys: z.array(z.string()),
});

/** All that a backup needs to know, decided before anything is made. Kept in the journal. */
export type Plan = z.infer<typeof PlanSchema>;
/** The same of a restore. */
export type RestorePlan = z.infer<typeof RestorePlanSchema>;
export type JobPlan = Plan | RestorePlan;
export type RestoredVolume = RestorePlan["volumes"][number];
export type PlannedVolume = z.infer<typeof PlannedVolumeSchema>;
export type PlannedParty = z.infer<typeof PartySchema>;

/** What the volumes of a job go by in its journal and tags: a backup's by the id of the instance's volume, a restore's by name. */
export function volumeNamesOf(plan: JobPlan): string[] {
  return plan.kind === "backup"
    ? plan.volumes.map(({ origin }) => origin.volumeId)
    : plan.volumes.map(({ name }) => name);
}
