import { DescribeSnapshotAttributeCommand, ModifySnapshotAttributeCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "./aws-errors.js";
import type { Party } from "./party.js";

/** A snapshot, and another account that may or may not create volumes from it. */
export interface Share {
  owner: Party;
  snapshotId: string;
  region: string;
  /** Id of the other account. */
  with: string;
}

export async function isShared({ owner, snapshotId, region, with: account }: Share): Promise<boolean> {
  const command = new DescribeSnapshotAttributeCommand({
    SnapshotId: snapshotId,
    Attribute: "createVolumePermission",
  });
  const { CreateVolumePermissions = [] } = await owner.ec2(command, snapshotId, region);
  return CreateVolumePermissions.some(({ UserId }) => UserId === account);
}

/**
 * Shares a snapshot with the other account.
 * @param remedy for the error when EC2 does not let the snapshot be shared
 * @throws SnapshotNotShareable
 */
export async function share(what: Share, remedy: string): Promise<void> {
  try {
    await change(what, "add");
  } catch (error) {
    if (NOT_SHAREABLE.test(awsCode(error))) throw notShareable(what.snapshotId, remedy, error);
    throw error;
  }
}

export function unshare(what: Share): Promise<void> {
  return change(what, "remove");
}

async function change({ owner, snapshotId, region, with: account }: Share, OperationType: "add" | "remove") {
  const command = new ModifySnapshotAttributeCommand({
    SnapshotId: snapshotId,
    Attribute: "createVolumePermission",
    OperationType,
    UserIds: [account],
  });
  await owner.ec2(command, snapshotId, region);
}

/** Error codes of EC2 for snapshots under an AWS-managed key; the second is for snapshots of images. */
const NOT_SHAREABLE = /^(OperationNotPermitted|InvalidParameter)$/;

function notShareable(snapshotId: string, remedy: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? ` (${cause.message})` : "";
  return new BlockferryError(
    {
      code: "SnapshotNotShareable",
      message: `EC2 does not let snapshot ${snapshotId} be shared${reason}`,
      ...{ remedy, object: snapshotId },
    },
    cause,
  );
}
