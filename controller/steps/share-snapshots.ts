import { DescribeSnapshotAttributeCommand, ModifySnapshotAttributeCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { use } from "../aws/action-use.js";
import { awsCode } from "../aws/aws-errors.js";
import { undoEach } from "../aws/job-resources.js";
import { untilVisible } from "../aws/retry.js";
import { snapshotKind } from "../aws/snapshots.js";
import type { Plan } from "../plan.js";
import { ROUTE_TABLE } from "../route.js";
import { madeId } from "./made-id.js";
import { type Step, type StepContext, waitFor } from "./step.js";

/** Lets the worker's account use the snapshots, and nobody else; it gives no access to their keys. */
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
    for (const snapshot of toBeShared(context)) {
      const { snapshotId } = snapshot;
      const visible = `snapshot ${snapshotId} to be visible`;
      const wait = waitFor(context, visible, snapshotId, context.timing.visibleMs);
      await untilVisible(wait, () => changeShare(context, snapshot, "add"));
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
          const snapshot = { snapshotId: SnapshotId, region: place.region };
          if (!(await isShared(context, snapshot))) return true;
          await changeShare(context, snapshot, "remove");
          return false;
        },
      });
    }
  },
};

interface Shareable {
  snapshotId: string;
  region: string;
}

function toBeShared({ plan, made }: StepContext<Plan>): Shareable[] {
  return plan.volumes.map(({ origin: { volumeId } }) => {
    const copy = made.bridgeCopies?.[volumeId];
    if (copy !== undefined) return { snapshotId: copy, region: plan.worker.region };
    return { snapshotId: madeId(made.snapshots, volumeId), region: plan.source.region };
  });
}

async function isShared(
  { source, plan }: StepContext<Plan>,
  { snapshotId, region }: Shareable,
): Promise<boolean> {
  const command = new DescribeSnapshotAttributeCommand({
    SnapshotId: snapshotId,
    Attribute: "createVolumePermission",
  });
  const { CreateVolumePermissions = [] } = await source.ec2(command, snapshotId, region);
  return CreateVolumePermissions.some(({ UserId }) => UserId === plan.worker.accountId);
}

async function changeShare(
  { source, plan }: StepContext<Plan>,
  { snapshotId, region }: Shareable,
  OperationType: "add" | "remove",
): Promise<void> {
  const command = new ModifySnapshotAttributeCommand({
    SnapshotId: snapshotId,
    Attribute: "createVolumePermission",
    OperationType,
    UserIds: [plan.worker.accountId],
  });
  try {
    await source.ec2(command, snapshotId, region);
  } catch (error) {
    if (OperationType === "add" && NOT_SHAREABLE.test(awsCode(error))) throw notShareable(snapshotId, error);
    throw error;
  }
}

/** How EC2 says that snapshots under an AWS-managed key cannot be shared; of images' snapshots it says the second. */
const NOT_SHAREABLE = /^(OperationNotPermitted|InvalidParameter)$/;

function notShareable(snapshotId: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? ` (${cause.message})` : "";
  return new BlockferryError(
    {
      code: "SnapshotNotShareable",
      message: `EC2 does not let snapshot ${snapshotId} be shared${reason}`,
      remedy: "Give --bridge-key ARN, so that a copy under that key is shared, or --worker-account source.",
      object: snapshotId,
    },
    cause,
  );
}
