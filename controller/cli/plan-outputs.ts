import * as z from "zod/mini";
import { described, field, named } from "../../command-line/output-schema.js";
import {
  count,
  errors,
  PrintedEbsVolumeSchema,
  PrintedInstanceSchema,
  point,
  recoveryPoint,
  strings,
} from "../../command-line/outputs.js";
import { byteCount } from "../../repository/format/recovery-point.js";
import { PartySchema } from "../aws/party.js";
import { PlanSchema, RestorePlanSchema } from "../plan/plan.js";
import { ROUTES } from "../plan/route.js";

export const route = field("How the data get from the instance's account to the worker", z.enum(ROUTES));
export const restoreRoute = field(
  "How the data get from the worker to the account that is restored to",
  z.enum(ROUTES),
);
export const unreadableBytes = field(
  "Bytes that the backup could not read, and that are zeros in the restored volume",
  byteCount,
);

const PrintedPartySchema = named(
  "Party",
  "One of the two accounts of a job, as blockferry acts in it",
  described(PartySchema, {
    accountId: "Id of the account",
    principalArn: "ARN of the principal; for a session, of the role behind it",
    partition: "Partition of AWS, for example `aws`",
    region: "Region",
  }),
);

const steps = field(
  "The steps, in order",
  z.array(
    z.strictObject({
      name: field("Name of the step", z.string()),
      title: field("Title, as shown while the step runs", z.string()),
      makes: field("The resources that the step creates, in words", z.string()),
    }),
  ),
);

const actions = {
  source: field("AWS actions in the account of the instance", strings),
  worker: field("AWS actions in the account of the worker", strings),
};

const CostSchema = z.strictObject({
  parts: field(
    "The cost by kind of resource",
    z.array(
      z.strictObject({
        what: field("Kind of resource", z.enum(["volumes", "snapshots", "copies", "worker-root"])),
        count: field("Number of resources", count),
        sizeGib: field("Their size in GiB", count),
        usdPerHour: field("Cost of all of them in USD an hour", z.number()),
      }),
    ),
  ),
  usdPerHour: field("Sum of the parts in USD an hour", z.number()),
  keptSnapshotsUsdPerMonth: field("Cost of the snapshots that are kept, in USD a month", z.number()),
  notIncluded: field("The parts that the estimate leaves out, in words", strings),
});

const verdict = {
  ok: field("False if there is a problem; the exit code is then 1", z.boolean()),
  problems: field("The problems that stand in the way", errors),
  notes: field("Facts to know, in words", strings),
};

/** Makes the fields optional that need a plan. */
function withPlan<Fields extends Record<string, z.ZodMiniType>>(
  fields: Fields,
): { [Name in keyof Fields]: z.ZodMiniOptional<Fields[Name]> } {
  const optional = Object.entries(fields).map(([name, schema]) => [name, z.optional(schema)]);
  return Object.fromEntries(optional);
}

export const CheckSchema = z.strictObject({
  ...verdict,
  ...withPlan({
    route,
    source: field("The account of the instance", PrintedPartySchema),
    worker: field("The account of the worker", PrintedPartySchema),
    availabilityZone: field("Availability Zone of the worker and of the temporary volumes", z.string()),
    volumeKey: field("ARN of the key of the temporary volumes", z.string()),
    copyKey: field("ARN of the key of the copies; null if the route makes none", z.nullable(z.string())),
    instance: field("The instance", z.omit(PrintedInstanceSchema, { snapshotTime: true })),
    volumes: field(
      "The volumes to back up",
      z.array(
        described(PlanSchema.shape.volumes.def.element, {
          name: "Name of the volume in the recovery point",
          origin: field("The volume of the instance", PrintedEbsVolumeSchema),
          key: "Kind of its key",
        }),
      ),
    ),
    steps,
    permissions: field(
      "The permissions that the backup needs",
      z.strictObject({
        ...actions,
        optional: field("AWS actions that only `check` uses", strings),
      }),
    ),
    temporary: field("The temporary resources that cost while they exist, in words", strings),
    estimatedCost: field("The most that they cost, by the list prices of us-east-1", CostSchema),
  }),
});

const restoredVolumes = RestorePlanSchema.shape.volumes.def.element;
const launch = RestorePlanSchema.shape.launch.def.innerType;

export const RestoreCheckSchema = z.strictObject({
  ...verdict,
  recoveryPoint,
  role: field(
    "ARN of the role that the new instance gets; null without one, or if IAM does not show it",
    z.nullable(z.string()),
  ),
  ...withPlan({
    route: restoreRoute,
    point,
    source: field("The account that is restored to", PrintedPartySchema),
    worker: field("The account of the worker", PrintedPartySchema),
    volumes: field(
      "The volumes to create",
      z.array(
        described(restoredVolumes, {
          name: "Name of the volume in the recovery point",
          sizeGib: "Size in GiB",
          type: "Type, for example `gp3`",
          iops: "IOPS; null if the type has none",
          throughput: "Throughput in MiB/s; null if the type has none",
          attachName: "Device name on the instance that was backed up; null if the point does not record it",
          deleteOnTermination: "Whether EC2 deletes the volume with the instance",
          unreadableBytes,
          tags: "Tags of the volume",
        }),
      ),
    ),
    launch: field(
      "The instance to launch, with `--to instance`; else null",
      z.nullable(
        described(launch, {
          imageId: "Id of the image",
          instanceType: "Instance type",
          subnetId: "Id of the subnet; null for the default subnet",
          securityGroupIds: "Ids of the security groups; empty for the default group of the VPC",
          profile: "Instance profile, or null",
          image: field(
            "Name and owner of the image, as EC2 reports them",
            z.optional(
              z.strictObject({
                name: field("Name of the image", z.string()),
                owner: field("Account or alias of its owner", z.string()),
              }),
            ),
          ),
          keyName: "Name of the key pair, or null",
          rootVolume: "Name of the volume that the instance boots from",
          leftOutDevices: "Device names of other volumes of the image, which are left out",
          tags: "Tags of the instance",
        }),
      ),
    ),
    volumeKey: field("ARN of the key of the volumes that the worker fills", z.string()),
    targetKey: field(
      "ARN of the key in the account that is restored to; null if that is the worker's account",
      z.nullable(z.string()),
    ),
    zone: field("Availability Zone of the restored volumes", z.string()),
    steps,
    permissions: field("The permissions that the restore needs", z.strictObject(actions)),
  }),
});

const values = z.union([z.string(), strings]);
const condition = z.record(z.string(), z.record(z.string(), values));

export const PolicySchema = z.strictObject({
  Version: field("Version of the policy language", z.literal("2012-10-17")),
  Statement: field(
    "The statements of the policy",
    z.array(
      z.strictObject({
        Sid: field("Id of the statement", z.optional(z.string())),
        Effect: field("Effect", z.enum(["Allow", "Deny"])),
        Principal: field(
          "Principal, in policies of keys and buckets",
          z.optional(z.union([z.literal("*"), z.strictObject({ AWS: field("ARN", z.string()) })])),
        ),
        Action: field("AWS actions", strings),
        Resource: field("ARNs of resources", strings),
        Condition: field("Values by operator and condition key", z.optional(condition)),
      }),
    ),
  ),
});
