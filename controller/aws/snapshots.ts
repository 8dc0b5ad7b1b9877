import {
  CopySnapshotCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotAttributeCommand,
  DescribeSnapshotsCommand,
  ModifySnapshotAttributeCommand,
  type Snapshot,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import { awsCode, givenId } from "./aws-errors.js";
import { keyNotUsable } from "./instances.js";
import {
  jobFilter,
  type ResourceKind,
  ROLE_TAG,
  Sightings,
  SOURCE_VOLUME_TAG,
  tagged,
  tagOf,
  undoEach,
} from "./job-resources.js";
import type { Party } from "./party.js";
import { type JobContext, poll, untilVisible, waitFor } from "./poll.js";

/**
 * Role of a job's snapshot in the workflow.
 * A snapshot is taken of the instance or of a filled volume, or copied by one of the parties.
 */
type SnapshotRole = "snapshot" | "bridge-copy" | "worker-copy" | "filled" | "restored-copy";

/** The owner and Region of the snapshots of one role. */
export interface SnapshotPlace {
  party: Party;
  region: string;
  role: SnapshotRole;
}

/**
 * Returns the job's snapshots of a role, oldest first.
 * A volume has several snapshots when EC2's answer was lost and the call repeated. The last snapshots of all
 * volumes were taken at one instant.
 */
export async function listSnapshots(
  { party, region, role }: SnapshotPlace,
  jobId: string,
): Promise<Snapshot[]> {
  const Filters = [jobFilter(jobId), { Name: `tag:${ROLE_TAG}`, Values: [role] }];
  const pages = await party.ec2Pages(
    (page) => new DescribeSnapshotsCommand({ OwnerIds: ["self"], Filters, ...page }),
    `the snapshots of ${jobId}`,
    region,
  );
  const snapshots = pages.flatMap(({ Snapshots = [] }) => Snapshots);
  return snapshots.sort((a, b) => Number(a.StartTime ?? 0) - Number(b.StartTime ?? 0));
}

/**
 * Returns the snapshots with these ids that EC2 shows.
 * A filter does not fail when a snapshot is not visible yet, as a list of ids would.
 */
async function describeSnapshots({ party, region }: SnapshotPlace, ids: string[]): Promise<Snapshot[]> {
  const Filters = [{ Name: "snapshot-id", Values: ids }];
  const pages = await party.ec2Pages(
    (page) => new DescribeSnapshotsCommand({ Filters, ...page }),
    ids.join(", "),
    region,
  );
  return pages.flatMap(({ Snapshots = [] }) => Snapshots);
}

/** Returns the name of the volume that a snapshot was taken of. */
export function sourceVolumeOf({ Tags, VolumeId }: Snapshot): string {
  return tagOf(Tags, SOURCE_VOLUME_TAG) ?? VolumeId ?? "";
}

/**
 * Waits until snapshots are complete, and shows their combined progress.
 * @param keys the keys that EBS needs, for the error when EBS cannot use one
 * @throws SnapshotFailed, KeyNotUsable, WaitTimedOut
 */
export async function awaitSnapshots(
  context: JobContext,
  place: SnapshotPlace,
  ids: string[],
  keys: string[],
): Promise<Snapshot[]> {
  if (ids.length === 0) return [];
  const sightings = new Sightings(context.timing.visibleMs);
  const wait = waitFor(context, "the snapshots to be complete", ids.join(", "), context.timing.snapshotMs);
  return poll(wait, async () => {
    const snapshots = await describeSnapshots(place, ids);
    for (const id of ids) {
      const snapshot = snapshots.find(({ SnapshotId }) => SnapshotId === id);
      const isGone = sightings.isGone(id, snapshot !== undefined);
      if (isGone || snapshot?.State === "error") await fail(place, id, snapshot?.StateMessage, keys);
    }
    const percent = snapshots.reduce((sum, { Progress }) => sum + Number.parseInt(Progress || "0", 10), 0);
    context.progress(`${Math.floor(percent / ids.length)}%`);
    const complete = snapshots.filter(({ State }) => State === "completed");
    return complete.length === ids.length ? complete : undefined;
  });
}

async function fail(
  place: SnapshotPlace,
  id: string,
  reason: string | undefined,
  keys: string[],
): Promise<never> {
  const said = reason === undefined || reason === "" ? "" : ` EC2 says: ${reason}.`;
  if (keys.length > 0)
    throw await keyNotUsable(place.party, `Snapshot copy ${id} failed or vanished.${said}`, id, keys);
  throw new BlockferryError({
    code: "SnapshotFailed",
    message: `Snapshot ${id} failed or vanished.${said}`,
    remedy: "Run it again; if it fails again, look at the snapshot in the EC2 console and ask AWS Support.",
    object: id,
  });
}

/** Removes a job's snapshots of a role, and waits until they are gone. */
export async function removeSnapshots(
  context: JobContext,
  place: SnapshotPlace,
  known: Record<string, string> = {},
): Promise<void> {
  const removed = new Set<string>();
  await undoEach(context, {
    kind: snapshotKind(place, context.plan.jobId),
    known: Object.values(known),
    what: "the snapshots to be deleted",
    timeoutMs: context.timing.resourceMs,
    removed,
    undo: async ({ SnapshotId = "" }) => {
      if (removed.has(SnapshotId)) return false;
      await place.party.ec2(new DeleteSnapshotCommand({ SnapshotId }), SnapshotId, place.region);
      removed.add(SnapshotId);
      return false;
    },
  });
}

export function snapshotKind(place: SnapshotPlace, jobId: string): ResourceKind<Snapshot> {
  return {
    idOf: ({ SnapshotId = "" }) => SnapshotId,
    list: () => listSnapshots(place, jobId),
    describe: (ids) => describeSnapshots(place, ids),
  };
}

/**
 * Returns ids of the snapshots that an earlier run created in a role, by volume name.
 * They are used again, because a second copy would cost as much as the first.
 */
export async function findMade(
  { plan, visibleBy, signal }: JobContext,
  place: SnapshotPlace,
): Promise<Record<string, string>> {
  await pause(Math.max(0, visibleBy - performance.now()), signal);
  const found = await listSnapshots(place, plan.jobId);
  return Object.fromEntries(
    found.map((one) => [sourceVolumeOf(one), givenId(one.SnapshotId, "of a snapshot")]),
  );
}

/** Repeats a call that uses a snapshot while EC2 does not know the snapshot yet. */
export function onceVisible<T>(context: JobContext, snapshotId: string, call: () => Promise<T>): Promise<T> {
  const what = `snapshot ${snapshotId} to be visible`;
  return untilVisible(waitFor(context, what, snapshotId, context.timing.visibleMs), call);
}

interface Copied {
  /** Name of the copied volume: see `volumeNamesOf`. */
  volume: string;
  snapshotId: string;
  sourceRegion: string;
  /** ARN; null for the default EBS key. */
  key: string | null;
}

/**
 * Copies a snapshot, and waits while the account runs too many copies.
 * An account can run 20 copies at once into a Region (AWS: "Amazon EBS quotas"), including the copies of
 * other jobs.
 * @returns id of the copy
 */
export async function copySnapshot(
  context: JobContext,
  place: SnapshotPlace,
  { volume, snapshotId: object, sourceRegion, key }: Copied,
): Promise<string> {
  const { plan, timing } = context;
  const command = new CopySnapshotCommand({
    SourceRegion: sourceRegion,
    SourceSnapshotId: object,
    Encrypted: true,
    ...(key === null ? {} : { KmsKeyId: key }),
    Description: `blockferry ${plan.jobId}: copy of ${object}`,
    TagSpecifications: [
      tagged("snapshot", plan.jobId, { [ROLE_TAG]: place.role, [SOURCE_VOLUME_TAG]: volume }),
    ],
  });
  const room = waitFor(context, "other snapshot copies to be complete", object, timing.snapshotMs);
  const { SnapshotId } = await poll(room, async () => {
    try {
      return await onceVisible(context, object, () => place.party.ec2(command, object, place.region));
    } catch (error) {
      if (awsCode(error) === "ResourceLimitExceeded") return undefined;
      throw error;
    }
  });
  return givenId(SnapshotId, `of the copy of ${object}`);
}

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
      message: `EC2 does not allow snapshot ${snapshotId} to be shared${reason}`,
      ...{ remedy, object: snapshotId },
    },
    cause,
  );
}
