import { CreateSnapshotCommand } from "@aws-sdk/client-ec2";
import { making, use } from "../aws/action-use.js";
import { findMade } from "../aws/made-snapshots.js";
import { awaitSnapshots, removeSnapshots, type SnapshotPlace } from "../aws/snapshots.js";
import { ROLE_TAG, SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import type { RestorePlan } from "../plan.js";
import { givenId, madeId } from "./made-id.js";
import type { Step, StepContext } from "./step.js";

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
