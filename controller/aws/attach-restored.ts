import { AttachVolumeCommand, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode, isDeviceNameTaken } from "./aws-errors.js";
import { freeDeviceNames, isRootDeviceName, sameName, usesDeviceName } from "./devices.js";
import { findInstance } from "./instances.js";
import type { Party } from "./party.js";
import { type JobContext, poll, waitFor } from "./poll.js";
import { volumeKind } from "./volumes.js";

/** A volume to attach to an instance that is not a worker. */
export interface Attachable {
  /** Name of the volume in the recovery point. */
  of: string;
  volumeId: string;
  /** The recorded device name; null where it is not known. */
  name: string | null;
  /**
   * `root`: attached only under `name`, because an instance boots from that name alone.
   * `data`: attached under another free name where `name` is taken.
   */
  as: "root" | "data";
}

/**
 * Attaches volumes to an instance that is not a worker.
 * Volumes that are attached there already stay as they are.
 * @returns the device name of each volume, by its name in the recovery point
 * @throws AttachFailed, WaitTimedOut
 */
export async function attachRestored(
  context: JobContext,
  party: Party,
  instanceId: string,
  volumes: Attachable[],
): Promise<Record<string, string>> {
  for (const volume of volumes) {
    if ((await attachmentOf(context, party, instanceId, volume.volumeId)) === undefined)
      await attach(context, party, instanceId, volume);
  }
  const ids = volumes.map(({ volumeId }) => volumeId).join(", ");
  const what = `the volumes to be attached to ${instanceId}`;
  return poll(waitFor(context, what, ids, context.timing.resourceMs), async () => {
    const devices: Record<string, string> = {};
    for (const volume of volumes) {
      const found = await attachmentOf(context, party, instanceId, volume.volumeId);
      if (found?.State !== "attached") return undefined;
      const device = found.Device ?? "";
      if (volume.as === "root" && sameName(device) !== sameName(volume.name ?? ""))
        throw notAsRoot(instanceId, volume, device);
      devices[volume.of] = device;
    }
    return devices;
  });
}

async function attachmentOf({ plan }: JobContext, party: Party, instanceId: string, volumeId: string) {
  const [volume] = await volumeKind(party, plan.jobId).describe([volumeId]);
  return volume?.Attachments?.find(
    ({ InstanceId, State }) => InstanceId === instanceId && State !== "detached",
  );
}

/**
 * Attaches one volume.
 * It waits for the name of a root volume, which may have been detached a moment ago.
 * @throws AttachFailed when no name is free; WaitTimedOut when the name of a root volume stays taken
 */
async function attach(context: JobContext, party: Party, instanceId: string, volume: Attachable) {
  const isAttached = () => attachUnderFreeName(party, instanceId, volume);
  if (volume.as === "data") {
    if (!(await isAttached())) throw noName(instanceId);
    return;
  }
  const what = `a device name for ${volume.volumeId}`;
  const wait = waitFor(context, what, instanceId, context.timing.visibleMs);
  await poll(wait, async () => (await isAttached()) || undefined);
}

/**
 * Attaches a volume under the first free name of its candidates.
 * When another caller takes that name first, the next one is tried.
 * @returns whether a name was free
 */
async function attachUnderFreeName(party: Party, InstanceId: string, volume: Attachable): Promise<boolean> {
  const { volumeId: VolumeId } = volume;
  const tried: string[] = [];
  for (;;) {
    const instance = (await findInstance(party, InstanceId)) ?? {};
    const Device = namesFor(instance, volume).find((one) => !tried.includes(one));
    if (Device === undefined) return false;
    try {
      await party.ec2(new AttachVolumeCommand({ VolumeId, InstanceId, Device }), VolumeId);
      return true;
    } catch (error) {
      // EC2's answer was lost and the call repeated.
      if (awsCode(error) === "VolumeInUse") return true;
      if (!isDeviceNameTaken(error)) throw error;
      tried.push(Device);
    }
  }
}

/**
 * Returns the free device names that suit a volume.
 * A data volume never gets a root device name: an instance that is stopped without its root would boot from
 * it.
 */
function namesFor(instance: Instance, { name, as }: Attachable): string[] {
  const isFree = name !== null && !usesDeviceName(instance, name);
  if (as === "root") return isFree ? [name] : [];
  return [...(isFree && !isRootDeviceName(name) ? [name] : []), ...freeDeviceNames(instance)];
}

function notAsRoot(instanceId: string, { volumeId, name }: Attachable, device: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Volume ${volumeId} is attached as ${device}, and instance ${instanceId} boots from ${name}.`,
    remedy: "Find out in CloudTrail who attached it, then restore again.",
    object: volumeId,
  });
}

function noName(instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Instance ${instanceId} has no device name free.`,
    remedy: "Detach volumes that are no longer needed, or leave --attach-to out.",
    object: instanceId,
  });
}
