import { CreateSnapshotCommand, CreateSnapshotsCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import { making, use } from "../aws/action-use.js";
import { givenId } from "../aws/aws-errors.js";
import { JOB_TAG, ROLE_TAG, SOURCE_VOLUME_TAG, tagged } from "../aws/job-resources.js";
import {
  awaitSnapshots,
  findMade,
  listSnapshots,
  removeSnapshots,
  type SnapshotPlace,
  sourceVolumeOf,
} from "../aws/snapshots.js";
import type { Plan, RestorePlan } from "../plan/plan.js";
import { madeId, type Step, type StepContext } from "./step.js";

/** Takes snapshots of all volumes at one instant: crash-consistent, as after a power cut. */
export const createSnapshots: Step<Plan> = {
  name: "create-snapshots",
  title: "Taking snapshots of all volumes at one instant",
  makes: "a snapshot of each volume, in the instance's account and Region",
  uses: (plan) => [
    ...use("source", "ec2:CreateSnapshots", "source-instance", "source-volumes"),
    ...making("source", "ec2:CreateSnapshots", "new-snapshot"),
    ...use("source", "ec2:DescribeSnapshots", "any"),
    ...(plan.request.snapshots === "delete" ? use("source", "ec2:DeleteSnapshot", "job-snapshot") : []),
  ],
  make: async (context) => {
    const { plan, source, made } = context;
    const taken = made.snapshots ?? (await findTaken(context));
    if (taken !== undefined) return { snapshots: taken };
    const { instanceId } = plan.instance;
    const { Snapshots = [] } = await source.ec2(createSnapshotsCommand(plan), instanceId);
    const answered = new Map(Snapshots.map(({ VolumeId, SnapshotId }) => [VolumeId, SnapshotId]));
    const ids = plan.volumes.map(({ origin: { volumeId } }) => {
      const snapshotId = answered.get(volumeId);
      if (snapshotId === undefined) throw notTaken(volumeId, instanceId);
      return [volumeId, snapshotId];
    });
    return { snapshots: Object.fromEntries(ids) };
  },
  wait: async (context) => {
    const ids = Object.values(context.made.snapshots ?? {});
    const snapshots = await awaitSnapshots(context, place(context), ids, []);
    const times = snapshots.map(({ StartTime }) => StartTime?.getTime() ?? Date.now());
    return { snapshotTime: new Date(Math.min(...times)).toISOString() };
  },
  undo: async (context) => {
    const isComplete = context.made.point !== undefined;
    if (isComplete && context.plan.request.snapshots === "keep") return;
    await removeSnapshots(context, place(context), context.made.snapshots);
  },
};

/**
 * Returns the snapshots of a run that died before it knew their ids.
 * When the run took several sets, the last set is returned. When EC2 shows some set incompletely, no set is
 * returned, because the snapshots might not be of one instant.
 */
async function findTaken(context: StepContext<Plan>): Promise<Record<string, string> | undefined> {
  const { plan, visibleBy, signal } = context;
  await pause(Math.max(0, visibleBy - performance.now()), signal);
  const snapshots = await listSnapshots(place(context), plan.jobId);
  const byVolume = plan.volumes.map(({ origin: { volumeId } }) =>
    snapshots.filter((snapshot) => sourceVolumeOf(snapshot) === volumeId),
  );
  const [count = 0, ...others] = byVolume.map(({ length }) => length);
  if (count === 0 || others.some((other) => other !== count)) return undefined;
  const last = byVolume.map((ofVolume) => ofVolume.at(-1) ?? {});
  return Object.fromEntries(
    last.map((one) => [sourceVolumeOf(one), givenId(one.SnapshotId, "of a snapshot")]),
  );
}

function place({ source, plan }: StepContext<Plan>): SnapshotPlace {
  return { party: source, region: plan.source.region, role: "snapshot" };
}

/**
 * Returns the call that takes the snapshots.
 * @param DryRun only asks whether the call would be allowed
 */
export function createSnapshotsCommand(plan: Plan, DryRun?: true): CreateSnapshotsCommand {
  const { jobId, instance, volumes, excludedDataVolumes } = plan;
  const rootIncluded = volumes.some(({ origin }) => origin.attachName === instance.rootDeviceName);
  return new CreateSnapshotsCommand({
    ...(DryRun === undefined ? {} : { DryRun }),
    Description: `blockferry ${jobId} of ${instance.instanceId} (${JOB_TAG})`,
    InstanceSpecification: {
      InstanceId: instance.instanceId,
      ExcludeBootVolume: !rootIncluded,
      ...(excludedDataVolumes.length === 0 ? {} : { ExcludeDataVolumeIds: excludedDataVolumes }),
    },
    TagSpecifications: [tagged("snapshot", jobId, { [ROLE_TAG]: "snapshot" })],
  });
}

function notTaken(volumeId: string, instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "SnapshotFailed",
    message: `EC2 took no snapshot of ${volumeId} together with the other volumes of ${instanceId}.`,
    remedy: "It may have been detached a moment ago: run `blockferry check`, then the backup again.",
    object: volumeId,
  });
}

/**
 * Takes snapshots of the filled volumes while they are still attached.
 * They are complete, because the agent has synced all its writes.
 */
export const snapshotFilled: Step<RestorePlan> = {
  name: "snapshot-filled-volumes",
  title: "Taking snapshots of the filled volumes",
  makes: "a snapshot of each filled volume, in the worker's account",
  uses: () => [
    ...use("worker", "ec2:CreateSnapshot", "job-volume"),
    ...making("worker", "ec2:CreateSnapshot", "new-snapshot"),
    ...use("worker", "ec2:DescribeSnapshots", "any"),
    ...use("worker", "ec2:DeleteSnapshot", "job-snapshot"),
  ],
  make: async (context) => {
    const { plan, worker, made } = context;
    const snapshots = made.snapshots ?? (await findMade(context, filledPlace(context)));
    for (const { name } of plan.volumes) {
      if (snapshots[name] !== undefined) continue;
      const VolumeId = madeId(made.volumes, name);
      const { SnapshotId } = await worker.ec2(command(plan, name, VolumeId), VolumeId);
      snapshots[name] = givenId(SnapshotId, "of a snapshot");
    }
    return { snapshots };
  },
  wait: async (context) => {
    await awaitSnapshots(context, filledPlace(context), Object.values(context.made.snapshots ?? {}), []);
    return {};
  },
  undo: (context) => removeSnapshots(context, filledPlace(context), context.made.snapshots),
};

export function filledPlace({ worker, plan }: StepContext<RestorePlan>): SnapshotPlace {
  return { party: worker, region: plan.worker.region, role: "filled" };
}

function command({ jobId, point }: RestorePlan, name: string, VolumeId: string): CreateSnapshotCommand {
  return new CreateSnapshotCommand({
    VolumeId,
    Description: `blockferry: ${name} of recovery point ${point}`,
    TagSpecifications: [tagged("snapshot", jobId, { [ROLE_TAG]: "filled", [SOURCE_VOLUME_TAG]: name })],
  });
}
