import assert from "node:assert/strict";
import {
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  type Snapshot,
  type Volume,
} from "@aws-sdk/client-ec2";
import { waitUntil } from "../support/wait-until.js";
import type { Party } from "./party.js";

/** Waits until a snapshot reaches a state. */
export async function snapshotReaches(
  party: Party,
  id: string,
  state: "completed" | "error",
): Promise<Snapshot> {
  let snapshot: Snapshot | undefined;
  await waitUntil(`snapshot ${id} to be ${state}`, async () => {
    snapshot = await describeSnapshot(party, id);
    return snapshot?.State === state;
  });
  return snapshot as unknown as Snapshot;
}

/** Waits until a volume reaches a state. */
export async function volumeReaches(party: Party, id: string, state: Volume["State"]): Promise<Volume> {
  let volume: Volume | undefined;
  await waitUntil(`volume ${id} to be ${state}`, async () => {
    volume = await describeVolume(party, id);
    return volume?.State === state;
  });
  return volume as unknown as Volume;
}

/** Waits until the only attachment of a volume is made. */
export async function volumeIsAttached(party: Party, id: string): Promise<void> {
  await waitUntil(`volume ${id} to be attached`, async () => {
    const volume = await describeVolume(party, id);
    return volume?.Attachments?.[0]?.State === "attached";
  });
}

export async function describeSnapshot(party: Party, id: string): Promise<Snapshot | undefined> {
  const { Snapshots = [] } = await party.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
  return Snapshots[0];
}

export async function describeVolume(party: Party, id: string): Promise<Volume | undefined> {
  const { Volumes = [] } = await party.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
  return Volumes[0];
}

/** Asserts that a call fails with an error code of AWS. */
export async function refused(call: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(call, (error: Error & { Code?: string }) => {
    assert.equal(error.Code ?? error.name, code, error.message);
    return true;
  });
}
