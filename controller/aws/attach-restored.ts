import { AttachVolumeCommand, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type StepContext, waitFor } from "../steps/step.js";
import { awsCode, isDeviceNameTaken } from "./aws-errors.js";
import { freeDeviceNames, isRootDeviceName, sameName, usesDeviceName } from "./devices.js";
import { findInstance } from "./instances.js";
import type { Party } from "./party.js";
import { poll } from "./poll.js";
import { volumeKind } from "./volumes.js";

/** A volume that is to be attached to an instance that is no worker. */
export interface Attachable {
  volumeId: string;
  /** The device name that it had; null where that is not known. */
  name: string | null;
  /** A root volume has its name or none, as an instance boots from one name alone. Others take a free one where theirs is not free. */
  as: "root" | "data";
}

/**
 * Attaches volumes to an instance that is no worker. What is attached there already is left as it is.
 * @returns their device names, in the order of the volumes
 * @throws AttachFailed, WaitTimedOut
 */
export async function attachRestored(
  context: StepContext,
  party: Party,
  instanceId: string,
  volumes: Attachable[],
): Promise<string[]> {
  for (const volume of volumes) {
    if ((await attachmentOf(context, party, instanceId, volume.volumeId)) === undefined)
      await attach(context, party, instanceId, volume);
  }
  const ids = volumes.map(({ volumeId }) => volumeId).join(", ");
  const what = `the volumes to be attached to ${instanceId}`;
  return poll(waitFor(context, what, ids, context.timing.resourceMs), async () => {
    const devices: string[] = [];
    for (const volume of volumes) {
      const found = await attachmentOf(context, party, instanceId, volume.volumeId);
      if (found?.State !== "attached") return undefined;
      const device = found.Device ?? "";
      if (volume.as === "root" && sameName(device) !== sameName(volume.name ?? ""))
        throw notAsRoot(instanceId, volume, `is attached as ${device}`);
      devices.push(device);
    }
    return devices;
  });
}

async function attachmentOf({ plan }: StepContext, party: Party, instanceId: string, volumeId: string) {
  const [volume] = await volumeKind(party, plan.jobId).describe([volumeId]);
  return volume?.Attachments?.find(
    ({ InstanceId, State }) => InstanceId === instanceId && State !== "detached",
  );
}

async function attach(context: StepContext, party: Party, InstanceId: string, volume: Attachable) {
  const { volumeId: VolumeId } = volume;
  const tried: string[] = [];
  const wait = waitFor(context, `a device name for ${VolumeId}`, InstanceId, context.timing.visibleMs);
  await poll(wait, async () => {
    for (;;) {
      const instance = (await findInstance(party, InstanceId)) ?? {};
      const Device = namesFor(instance, volume).find((one) => !tried.includes(one));
      if (Device === undefined && volume.as === "data") throw noName(InstanceId);
      // The volume that had the name was detached a moment ago.
      if (Device === undefined) return undefined;
      try {
        await party.ec2(new AttachVolumeCommand({ VolumeId, InstanceId, Device }), VolumeId);
        return true;
      } catch (error) {
        // EC2's answer was lost and the call repeated.
        if (awsCode(error) === "VolumeInUse") return true;
        if (!isDeviceNameTaken(error)) throw error;
        if (volume.as === "root") return undefined;
        tried.push(Device);
      }
    }
  });
}

/** A data volume never asks for a name of root volumes: an instance that is stopped without its root would boot from it. */
function namesFor(instance: Instance, { name, as }: Attachable): string[] {
  const isFree = name !== null && !usesDeviceName(instance, name);
  if (as === "root") return isFree ? [name] : [];
  return [...(isFree && !isRootDeviceName(name) ? [name] : []), ...freeDeviceNames(instance)];
}

function notAsRoot(instanceId: string, { volumeId, name }: Attachable, what: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Volume ${volumeId} ${what}, and instance ${instanceId} boots from ${name}.`,
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
