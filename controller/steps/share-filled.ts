import { use } from "../aws/action-use.js";
import { undoEach } from "../aws/job-resources.js";
import { waitFor } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import { isShared, type Share, share, unshare } from "../aws/snapshot-sharing.js";
import { snapshotKind } from "../aws/snapshots.js";
import type { RestorePlan } from "../plan.js";
import { filledPlace } from "./snapshot-filled.js";
import type { Step, StepContext } from "./step.js";

/**
 * Shares snapshots of the filled volumes with the target account.
 * Volumes cannot be attached or given to another account. Snapshots can be shared under a key that both may
 * use.
 */
export const shareFilled: Step<RestorePlan> = {
  name: "share-filled-snapshots",
  title: "Sharing the snapshots with the account that is restored to",
  makes: "permission for that account to use them",
  uses: () => [
    ...use("worker", "ec2:ModifySnapshotAttribute", "job-snapshot"),
    ...use("worker", "ec2:DescribeSnapshotAttribute", "job-snapshot"),
    ...use("worker", "ec2:DescribeSnapshots", "any"),
  ],
  make: async (context) => {
    for (const id of Object.values(context.made.snapshots ?? {})) {
      const wait = waitFor(context, `snapshot ${id} to be visible`, id, context.timing.visibleMs);
      await untilVisible(wait, () =>
        share(shareOf(context, id), "Give --volume-key ARN of a customer-managed key."),
      );
    }
    return {};
  },
  wait: async () => ({}),
  undo: (context) =>
    undoEach(context, {
      kind: snapshotKind(filledPlace(context), context.plan.jobId),
      known: Object.values(context.made.snapshots ?? {}),
      what: "the snapshots to be shared no more",
      timeoutMs: context.timing.resourceMs,
      undo: async ({ SnapshotId = "" }) => {
        if (!(await isShared(shareOf(context, SnapshotId)))) return true;
        await unshare(shareOf(context, SnapshotId));
        return false;
      },
    }),
};

function shareOf({ worker, plan }: StepContext<RestorePlan>, snapshotId: string): Share {
  return { owner: worker, snapshotId, region: plan.worker.region, with: plan.source.accountId };
}
