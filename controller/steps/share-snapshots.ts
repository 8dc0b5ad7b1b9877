import { use } from "../aws/action-use.js";
import { undoEach } from "../aws/job-resources.js";
import { waitFor } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import { isShared, type Share, share, unshare } from "../aws/snapshot-sharing.js";
import { snapshotKind } from "../aws/snapshots.js";
import type { Plan } from "../plan.js";
import { ROUTE_TABLE } from "../route.js";
import { madeId } from "./made-id.js";
import type { Step, StepContext } from "./step.js";

/** Lets only the worker's account use the snapshots; it gives no access to their keys. */
export const shareSnapshots: Step<Plan> = {
  name: "share-snapshots",
  title: "Sharing the snapshots with the worker's account",
  makes: "permission for the worker's account to make volumes of them",
  when: (plan) => ROUTE_TABLE[plan.route].shares,
  uses: () => [
    ...use("source", "ec2:ModifySnapshotAttribute", "job-snapshot"),
    ...use("source", "ec2:DescribeSnapshotAttribute", "job-snapshot"),
    ...use("source", "ec2:DescribeSnapshots", "any"),
  ],
  make: async (context) => {
    for (const shared of toBeShared(context)) {
      const { snapshotId } = shared;
      const visible = `snapshot ${snapshotId} to be visible`;
      const wait = waitFor(context, visible, snapshotId, context.timing.visibleMs);
      await untilVisible(wait, () => share(shared, REMEDY));
    }
    return {};
  },
  wait: async () => ({}),
  undo: async (context) => {
    const { plan, source, made, timing } = context;
    const places = [
      [{ party: source, region: plan.source.region, role: "snapshot" }, made.snapshots],
      [{ party: source, region: plan.worker.region, role: "bridge-copy" }, made.bridgeCopies],
    ] as const;
    for (const [place, known] of places) {
      await undoEach(context, {
        kind: snapshotKind(place, plan.jobId),
        known: Object.values(known ?? {}),
        what: "the snapshots to be shared no more",
        timeoutMs: timing.resourceMs,
        undo: async ({ SnapshotId = "" }) => {
          const shared = shareOf(context, SnapshotId, place.region);
          if (!(await isShared(shared))) return true;
          await unshare(shared);
          return false;
        },
      });
    }
  },
};

const REMEDY = "Give --bridge-key ARN, so that a copy under that key is shared, or --worker-account source.";

/** @param region Region of the snapshot */
function shareOf({ source, plan }: StepContext<Plan>, snapshotId: string, region: string): Share {
  return { owner: source, snapshotId, region, with: plan.worker.accountId };
}

function toBeShared(context: StepContext<Plan>): Share[] {
  const { plan, made } = context;
  return plan.volumes.map(({ origin: { volumeId } }) => {
    const copy = made.bridgeCopies?.[volumeId];
    if (copy !== undefined) return shareOf(context, copy, plan.worker.region);
    return shareOf(context, madeId(made.snapshots, volumeId), plan.source.region);
  });
}
