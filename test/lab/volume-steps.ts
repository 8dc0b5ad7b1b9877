import {
  AttachVolumeCommand,
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  type CreateVolumeCommandInput,
  ModifySnapshotAttributeCommand,
} from "@aws-sdk/client-ec2";
import { zoneOf } from "./instances.js";
import type { Party } from "./party.js";
import { snapshotReaches, volumeIsAttached, volumeReaches } from "./waits.js";

/**
 * Makes snapshots of an instance's volumes and waits for them.
 * @returns ids of the snapshots, in the order of the volumes
 */
export async function snapshotInstance(party: Party, instanceId: string): Promise<string[]> {
  const command = new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } });
  const { Snapshots = [] } = await party.ec2.send(command);
  const ids = Snapshots.map(({ SnapshotId = "" }) => SnapshotId);
  for (const id of ids) await snapshotReaches(party, id, "completed");
  return ids;
}

export async function share(owner: Party, snapshotId: string, accountId: string): Promise<void> {
  await owner.ec2.send(
    new ModifySnapshotAttributeCommand({
      SnapshotId: snapshotId,
      Attribute: "createVolumePermission",
      OperationType: "add",
      UserIds: [accountId],
    }),
  );
}

/** Makes a volume without waiting for it. @returns its id */
export async function createVolume(party: Party, input: CreateVolumeCommandInput): Promise<string> {
  const zone = { AvailabilityZone: zoneOf(party) };
  const { VolumeId = "" } = await party.ec2.send(new CreateVolumeCommand({ ...zone, ...input }));
  return VolumeId;
}

export async function attach(
  party: Party,
  volumeId: string,
  instanceId: string,
  device: string,
): Promise<void> {
  await volumeReaches(party, volumeId, "available");
  await party.ec2.send(
    new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: instanceId, Device: device }),
  );
  await volumeIsAttached(party, volumeId);
}
