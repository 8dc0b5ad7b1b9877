import { CreateSnapshotsCommand } from "@aws-sdk/client-ec2";
import { making, use } from "../aws/action-use.js";
import {
  awaitSnapshots,
  findSnapshots,
  removeSnapshots,
  type SnapshotPlace,
  snapshotIds,
} from "../aws/snapshots.js";
import { JOB_TAG, ROLE_TAG, tagged } from "../aws/tags.js";
import type { Plan } from "../plan.js";
import type { Step, StepContext } from "./step.js";

/** Snapshots of all volumes at one instant: crash-consistent, as after a power cut. */
export const createSnapshots: Step = {
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
    const found = await findSnapshots(place(context), context.plan.jobId);
    if (found.size > 0) return { snapshots: snapshotIds(found) };
    const { Snapshots = [] } = await context.source.ec2(
      createSnapshotsCommand(context.plan),
      context.plan.instance.instanceId,
    );
    const ids = Snapshots.map(({ VolumeId = "", SnapshotId = "" }) => [VolumeId, SnapshotId]);
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

function place({ source, plan }: StepContext): SnapshotPlace {
  return { party: source, region: plan.source.region, role: "snapshot" };
}

/** @param DryRun asks whether it would be allowed */
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
