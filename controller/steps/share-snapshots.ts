import { use } from "../aws/action-use.js";
import { undoEach } from "../aws/job-resources.js";
import type { JobContext } from "../aws/poll.js";
import {
  isShared,
  onceVisible,
  type Share,
  type SnapshotPlace,
  share,
  snapshotKind,
  unshare,
} from "../aws/snapshots.js";
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
    await shareAll(context, toBeShared(context), REMEDY);
    return {};
  },
  wait: async () => ({}),
  undo: async (context) => {
    const { plan, source, made } = context;
    const places = [
      [{ party: source, region: plan.source.region, role: "snapshot" }, made.snapshots],
      [{ party: source, region: plan.worker.region, role: "bridge-copy" }, made.bridgeCopies],
    ] as const;
    for (const [place, known] of places) {
      await unshareAll(context, place, known, (id) => shareOf(context, id, place.region));
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
    const shares = Object.values(context.made.snapshots ?? {}).map((id) => filledShareOf(context, id));
    await shareAll(context, shares, "Give --volume-key ARN of a customer-managed key.");
    return {};
  },
  wait: async () => ({}),
  undo: (context) =>
    unshareAll(context, filledPlace(context), context.made.snapshots, (id) => filledShareOf(context, id)),
};

function filledShareOf({ worker, plan }: StepContext<RestorePlan>, snapshotId: string): Share {
  return { owner: worker, snapshotId, region: plan.worker.region, with: plan.source.accountId };
}

/** @param remedy for the error when EC2 does not let a snapshot be shared */
async function shareAll(context: JobContext, shares: Share[], remedy: string): Promise<void> {
  for (const one of shares) await onceVisible(context, one.snapshotId, () => share(one, remedy));
}

/**
 * Ends the sharing of a job's snapshots of one place.
 * @param known ids in the journal, by volume name
 */
function unshareAll(
  context: JobContext,
  place: SnapshotPlace,
  known: Record<string, string> | undefined,
  shareOfId: (snapshotId: string) => Share,
): Promise<void> {
  return undoEach(context, {
    kind: snapshotKind(place, context.plan.jobId),
    known: Object.values(known ?? {}),
    what: "the snapshots to be no longer shared",
    timeoutMs: context.timing.resourceMs,
    undo: async ({ SnapshotId = "" }) => {
      const shared = shareOfId(SnapshotId);
      if (!(await isShared(shared))) return true;
      await unshare(shared);
      return false;
    },
  });
}
