import { use } from "../aws/action-use.js";
import { undoEach } from "../aws/job-resources.js";
import { untilVisible, waitFor } from "../aws/poll.js";
import { isShared, type Share, share, snapshotKind, unshare } from "../aws/snapshots.js";
import type { Plan, RestorePlan } from "../plan/plan.js";
import { ROUTE_TABLE } from "../plan/route.js";
import { filledPlace } from "./create-snapshots.js";
import { madeId, type Step, type StepContext } from "./step.js";

/** Lets only the worker's account use the snapshots; it gives no access to their keys. */
export const shareSnapshots: Step<Plan> = {
  name: "share-snapshots",
  title: "Sharing the snapshots with the worker's account",
  makes: "permission for the worker's account to make volumes from them",
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
        what: "the snapshots to be no longer shared",
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

/**
 * Shares snapshots of the filled volumes with the target account.
 * Volumes cannot be attached or given to another account. Snapshots can be shared under a key that both may
 * use.
 */
export const shareFilled: Step<RestorePlan> = {
  name: "share-filled-snapshots",
  title: "Sharing the snapshots with the target account",
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
        share(filledShareOf(context, id), "Give --volume-key ARN of a customer-managed key."),
      );
    }
    return {};
  },
  wait: async () => ({}),
  undo: (context) =>
    undoEach(context, {
      kind: snapshotKind(filledPlace(context), context.plan.jobId),
      known: Object.values(context.made.snapshots ?? {}),
      what: "the snapshots to be no longer shared",
      timeoutMs: context.timing.resourceMs,
      undo: async ({ SnapshotId = "" }) => {
        if (!(await isShared(filledShareOf(context, SnapshotId)))) return true;
        await unshare(filledShareOf(context, SnapshotId));
        return false;
      },
    }),
};

function filledShareOf({ worker, plan }: StepContext<RestorePlan>, snapshotId: string): Share {
  return { owner: worker, snapshotId, region: plan.worker.region, with: plan.source.accountId };
}
