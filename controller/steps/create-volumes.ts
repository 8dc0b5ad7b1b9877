import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { givenId } from "../aws/aws-errors.js";
import { SOURCE_VOLUME_TAG, tagged } from "../aws/job-resources.js";
import { onceVisible } from "../aws/snapshots.js";
import { awaitVolumes, deleteVolumes, findJobVolumes } from "../aws/volumes.js";
import type { Plan, PlannedVolume, RestoredVolume, RestorePlan } from "../plan/plan.js";
import { ROUTE_TABLE, type Route } from "../plan/route.js";
import { madeId, type Step, type StepContext } from "./step.js";

/**
 * Creates volumes from the snapshots in the worker's zone.
 * They are always encrypted with the key of the plan.
 */
export const createVolumes: Step<Plan> = {
  name: "create-volumes",
  title: "Creating encrypted volumes from the snapshots",
  makes: "a volume for each snapshot, in the worker's account and Availability Zone",
  uses: ({ route }) => [
    ...use("worker", "ec2:CreateVolume", ownsSnapshots(route) ? "job-snapshot" : "shared-snapshot"),
    ...making("worker", "ec2:CreateVolume", "new-volume"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("worker", "shared-keys", "volume-key"),
  ],
  make: async (context) => {
    const { plan, worker } = context;
    const volumes: Record<string, string> = {};
    const found = await findJobVolumes(worker, plan.jobId);
    for (const volume of plan.volumes) {
      const { volumeId } = volume.origin;
      const snapshotId = snapshotOf(context, volumeId);
      const create = () => worker.ec2(command(plan, volume, snapshotId), snapshotId);
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } = found.get(volumeId) ?? (await onceVisible(context, snapshotId, create));
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

/** Creates blank volumes like the backed-up ones, always encrypted with the key of the plan. */
export const createBlankVolumes: Step<RestorePlan> = {
  name: "create-blank-volumes",
  title: "Creating encrypted volumes",
  makes: "a blank volume for each restored one, in the worker's account and Availability Zone",
  uses: () => [
    ...making("worker", "ec2:CreateVolume", "new-volume"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("worker", "volume-key"),
  ],
  make: async ({ plan, worker }) => {
    const volumes: Record<string, string> = {};
    const found = await findJobVolumes(worker, plan.jobId);
    for (const volume of plan.volumes) {
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } =
        found.get(volume.name) ?? (await worker.ec2(blankVolumeCommand(plan, volume), volume.name));
      volumes[volume.name] = givenId(VolumeId, "of a volume");
    }
    return { volumes };
  },
  wait: async (context) => {
    const { plan, worker, made } = context;
    await awaitVolumes(context, worker, made.volumes ?? {}, () => [plan.volumeKey]);
    return {};
  },
  undo: (context) => deleteVolumes(context, context.worker, context.made.volumes),
};

function blankVolumeCommand(
  { jobId, volumes, availabilityZone, volumeKey }: RestorePlan,
  volume: RestoredVolume,
) {
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-${volumes.indexOf(volume)}`,
    AvailabilityZone: availabilityZone,
    ...{ Encrypted: true, KmsKeyId: volumeKey },
    ...likeRecorded(volume),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: volume.name })],
  });
}

/** Returns the properties that make a volume like the backed-up one. */
function likeRecorded({ sizeGib, type, iops, throughput }: RestoredVolume) {
  return {
    ...{ Size: sizeGib, VolumeType: type as never },
    ...(iops === null ? {} : { Iops: iops }),
    ...(throughput === null ? {} : { Throughput: throughput }),
  };
}

/** Creates volumes from the shared snapshots in the target account, under its own key. */
export const createTargetVolumes: Step<RestorePlan> = {
  name: "create-target-volumes",
  title: "Creating volumes in the target account",
  makes: "a volume from each shared snapshot, in the target account",
  uses: () => [
    ...use("source", "ec2:CreateVolume", "shared-snapshot"),
    ...making("source", "ec2:CreateVolume", "new-volume"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("source", "shared-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, source, made } = context;
    const targetVolumes: Record<string, string> = {};
    const found = await findJobVolumes(source, plan.jobId);
    for (const volume of plan.volumes) {
      const id = madeId(made.snapshots, volume.name);
      const create = () => source.ec2(targetVolumeCommand(plan, volume, id), id);
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } = found.get(volume.name) ?? (await onceVisible(context, id, create));
      targetVolumes[volume.name] = givenId(VolumeId, "of a volume");
    }
    return { targetVolumes };
  },
  wait: async (context) => {
    const { plan, source, made } = context;
    const keys = [plan.volumeKey, ...(plan.targetKey === null ? [] : [plan.targetKey])];
    await awaitVolumes(context, source, made.targetVolumes ?? {}, () => keys);
    return {};
  },
  undo: (context) => deleteVolumes(context, context.source, context.made.targetVolumes),
};

function targetVolumeCommand(
  { jobId, volumes, targetZone, targetKey }: RestorePlan,
  volume: RestoredVolume,
  id: string,
) {
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-target-${volumes.indexOf(volume)}`,
    AvailabilityZone: targetZone,
    SnapshotId: id,
    Encrypted: true,
    ...(targetKey === null ? {} : { KmsKeyId: targetKey }),
    ...likeRecorded(volume),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: volume.name })],
  });
}
