import { making, use, useKeys } from "../aws/action-use.js";
import { copySnapshot, findMade } from "../aws/made-snapshots.js";
import { awaitSnapshots, removeSnapshots, type SnapshotPlace } from "../aws/snapshots.js";
import type { RestorePlan } from "../plan.js";
import { madeId } from "./made-id.js";
import type { Step, StepContext } from "./step.js";

/** Copies the shared snapshots in the target account, which then owns them under its own key. */
export const copyFilled: Step<RestorePlan> = {
  name: "copy-filled-snapshots",
  title: "Copying the snapshots to the account that is restored to",
  makes: "copies of the shared snapshots, in the account that is restored to",
  uses: () => [
    ...use("source", "ec2:CopySnapshot", "shared-snapshot"),
    ...making("source", "ec2:CopySnapshot", "new-snapshot"),
    ...use("source", "ec2:DescribeSnapshots", "any"),
    ...use("source", "ec2:DeleteSnapshot", "job-snapshot"),
    ...useKeys("source", "shared-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, made } = context;
    const copies = made.targetSnapshots ?? (await findMade(context, copyPlace(context)));
    for (const { name: volume } of plan.volumes) {
      const snapshotId = madeId(made.snapshots, volume);
      const what = { volume, snapshotId, sourceRegion: plan.worker.region, key: plan.targetKey };
      copies[volume] ??= await copySnapshot(context, copyPlace(context), what);
    }
    return { targetSnapshots: copies };
  },
  wait: async (context) => {
    const { plan, made } = context;
    const keys = [plan.volumeKey, ...(plan.targetKey === null ? [] : [plan.targetKey])];
    await awaitSnapshots(context, copyPlace(context), Object.values(made.targetSnapshots ?? {}), keys);
    return {};
  },
  undo: (context) => removeSnapshots(context, copyPlace(context), context.made.targetSnapshots),
};

function copyPlace({ source, plan }: StepContext<RestorePlan>): SnapshotPlace {
  return { party: source, region: plan.source.region, role: "restored-copy" };
}
