import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { awaitVolumes, deleteVolumes } from "../aws/made-volumes.js";
import { waitFor } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import { SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import { findJobVolumes } from "../aws/volumes.js";
import type { Plan, PlannedVolume } from "../plan.js";
import { ROUTE_TABLE, type Route } from "../route.js";
import { givenId, madeId } from "./made-id.js";
import type { Step, StepContext } from "./step.js";

/**
 * Creates volumes from the snapshots in the worker's zone.
 * They are always encrypted with the key of the plan.
 */
export const createVolumes: Step<Plan> = {
  name: "create-volumes",
  title: "Making encrypted volumes of the snapshots",
  makes: "a volume for each snapshot, in the worker's account and Availability Zone",
  uses: ({ route }) => [
    ...use("worker", "ec2:CreateVolume", ownsSnapshots(route) ? "job-snapshot" : "shared-snapshot"),
    ...making("worker", "ec2:CreateVolume", "new-volume"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("worker", "shared-keys", "volume-key"),
  ],
  make: async (context) => {
    const { plan, worker, timing } = context;
    const volumes: Record<string, string> = {};
    const found = await findJobVolumes(worker, plan.jobId);
    for (const volume of plan.volumes) {
      const { volumeId } = volume.origin;
      const snapshotId = snapshotOf(context, volumeId);
      const wait = waitFor(context, `snapshot ${snapshotId} to be visible`, snapshotId, timing.visibleMs);
      const create = () => worker.ec2(command(plan, volume, snapshotId), snapshotId);
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } = found.get(volumeId) ?? (await untilVisible(wait, create));
      volumes[volumeId] = givenId(VolumeId, "of a volume");
    }
    return { volumes };
  },
  wait: async (context) => {
    await awaitVolumes(context, context.worker, context.made.volumes ?? {}, (name) => keysOf(context, name));
    return {};
  },
  undo: (context) => deleteVolumes(context, context.worker, context.made.volumes),
};

/** Returns whether the worker's account owns the snapshots, or whether they are shared with it. */
function ownsSnapshots(route: Route): boolean {
  const { shares, workerCopies } = ROUTE_TABLE[route];
  return !shares || workerCopies;
}

/** Returns the snapshot to create a volume from: the copy that is nearest to the worker. */
function snapshotOf({ made }: StepContext<Plan>, volumeId: string): string {
  return made.workerCopies?.[volumeId] ?? made.bridgeCopies?.[volumeId] ?? madeId(made.snapshots, volumeId);
}

function command(
  { jobId, request, availabilityZone, volumeKey }: Plan,
  { origin }: PlannedVolume,
  snapshotId: string,
) {
  const { volumeType, iops, throughputMibps, initializationRateMibps } = request;
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-${origin.volumeId}`,
    AvailabilityZone: availabilityZone,
    SnapshotId: snapshotId,
    VolumeType: volumeType as never,
    Encrypted: true,
    KmsKeyId: volumeKey,
    ...(iops === null ? {} : { Iops: iops }),
    ...(throughputMibps === null ? {} : { Throughput: throughputMibps }),
    ...(initializationRateMibps === null ? {} : { VolumeInitializationRate: initializationRateMibps }),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: origin.volumeId })],
  });
}

/** Returns the keys that EBS needs to create a volume from its snapshot. */
function keysOf({ plan, made }: StepContext<Plan>, sourceVolume: string): string[] {
  const origin = plan.volumes.find((volume) => volume.origin.volumeId === sourceVolume)?.origin;
  const isCopied = (made.workerCopies ?? made.bridgeCopies)?.[sourceVolume] !== undefined;
  const snapshotKey = isCopied ? plan.copyKey : origin?.kmsKeyId;
  return [...(typeof snapshotKey === "string" ? [snapshotKey] : []), plan.volumeKey];
}
