import { DeleteSnapshotCommand, DescribeSnapshotsCommand, type Snapshot } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { StepContext } from "../steps/step.js";
import { waitFor } from "../steps/step.js";
import { keyNotUsable } from "./key-failure.js";
import type { Party } from "./party.js";
import { poll } from "./poll.js";
import { unlessGone } from "./retry.js";
import { jobFilter, ROLE_TAG, SOURCE_VOLUME_TAG, tagOf } from "./tags.js";

/** What a job's snapshot is: taken of the instance, or copied by one of the parties. */
export type SnapshotRole = "snapshot" | "bridge-copy" | "worker-copy";

/** The snapshots of one role: whose they are, and where. */
export interface SnapshotPlace {
  party: Party;
  region: string;
  role: SnapshotRole;
}

/** The job's snapshots of a role, by the volume of the instance. */
export async function findSnapshots(place: SnapshotPlace, jobId: string): Promise<Map<string, Snapshot>> {
  const snapshots = await listSnapshots(place, jobId);
  return new Map(snapshots.map((snapshot) => [sourceVolumeOf(snapshot), snapshot]));
}

/**
 * The job's snapshots of a role, oldest first. There are several of a volume when EC2's answer was lost and the call repeated;
 * the last of each were taken at one instant.
 */
export async function listSnapshots(
  { party, region, role }: SnapshotPlace,
  jobId: string,
): Promise<Snapshot[]> {
  const Filters = [jobFilter(jobId), { Name: `tag:${ROLE_TAG}`, Values: [role] }];
  const command = new DescribeSnapshotsCommand({ OwnerIds: ["self"], Filters });
  const { Snapshots = [] } = await party.ec2(command, `the snapshots of ${jobId}`, region);
  return Snapshots.sort((a, b) => Number(a.StartTime ?? 0) - Number(b.StartTime ?? 0));
}

function sourceVolumeOf({ Tags, VolumeId }: Snapshot): string {
  return tagOf(Tags, SOURCE_VOLUME_TAG) ?? VolumeId ?? "";
}

/** Ids by the volume of the instance, for the journal. */
export function snapshotIds(snapshots: Map<string, Snapshot>): Record<string, string> {
  return Object.fromEntries([...snapshots].map(([volume, { SnapshotId = "" }]) => [volume, SnapshotId]));
}

/**
 * Waits until snapshots are complete, and shows how far they are together.
 * @param keys the keys that EBS needs for them, for the error when it cannot use one
 * @throws SnapshotFailed, KeyNotUsable, WaitTimedOut
 */
export async function awaitSnapshots(
  context: StepContext,
  place: SnapshotPlace,
  ids: string[],
  keys: string[],
): Promise<Snapshot[]> {
  if (ids.length === 0) return [];
  const firstSeen = new Set<string>();
  const visibleUntil = performance.now() + context.timing.visibleMs;
  const wait = waitFor(context, "the snapshots to be completed", ids.join(", "), context.timing.snapshotMs);
  return poll(wait, async () => {
    const command = new DescribeSnapshotsCommand({ Filters: [{ Name: "snapshot-id", Values: ids }] });
    const { Snapshots = [] } = await place.party.ec2(command, ids.join(", "), place.region);
    for (const id of ids) {
      const snapshot = Snapshots.find(({ SnapshotId }) => SnapshotId === id);
      if (snapshot !== undefined) firstSeen.add(id);
      const isGone = snapshot === undefined && (firstSeen.has(id) || performance.now() > visibleUntil);
      if (isGone || snapshot?.State === "error") await fail(place, id, snapshot?.StateMessage, keys);
    }
    const percent = Snapshots.reduce((sum, { Progress }) => sum + Number.parseInt(Progress || "0", 10), 0);
    context.progress(`${Math.floor(percent / ids.length)}%`);
    const complete = Snapshots.filter(({ State }) => State === "completed");
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
    remedy:
      "Run the backup again; if it fails again, look at the snapshot in the EC2 console and ask AWS Support.",
    object: id,
  });
}

/** Removes a job's snapshots of a role, and waits until they are gone. */
export async function removeSnapshots(
  context: StepContext,
  place: SnapshotPlace,
  known: Record<string, string> = {},
): Promise<void> {
  const { jobId } = context.plan;
  const found = (await listSnapshots(place, jobId)).flatMap(({ SnapshotId }) => SnapshotId ?? []);
  const ids = [...new Set([...found, ...Object.values(known)])];
  for (const SnapshotId of ids) {
    await unlessGone(() =>
      place.party.ec2(new DeleteSnapshotCommand({ SnapshotId }), SnapshotId, place.region),
    );
  }
  if (ids.length === 0) return;
  const wait = waitFor(context, "the snapshots to be deleted", ids.join(", "), context.timing.resourceMs);
  await poll(wait, async () => ((await listSnapshots(place, jobId)).length === 0 ? true : undefined));
}
