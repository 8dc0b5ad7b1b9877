import { AttachVolumeCommand, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type StepContext, waitFor } from "../steps/step.js";
import { awsCode } from "./aws-errors.js";
import { freeDeviceNames } from "./devices.js";
import { findInstance } from "./instances.js";
import type { Party } from "./party.js";
import { poll } from "./poll.js";
import { volumeKind } from "./volumes.js";

/** A volume, and the device name that it is to have; null for any. */
export interface Attachable {
  volumeId: string;
  name: string | null;
}

/**
 * Attaches volumes to an instance that is no worker, under the names that they are to have, or under free ones where those are
 * taken. What is attached there already is left as it is.
 * @throws AttachFailed, WaitTimedOut
 */
export async function attachRestored(
  context: StepContext,
  party: Party,
  instanceId: string,
  volumes: Attachable[],
): Promise<void> {
  for (const volume of volumes) {
    if (!(await isAttachedTo(context, party, instanceId, volume.volumeId)))
      await attach(party, instanceId, volume);
  }
  const ids = volumes.map(({ volumeId }) => volumeId).join(", ");
  const wait = waitFor(
    context,
    `the volumes to be attached to ${instanceId}`,
    ids,
    context.timing.resourceMs,
  );
  await poll(wait, async () => {
    for (const { volumeId } of volumes)
      if ((await isAttachedTo(context, party, instanceId, volumeId)) !== "attached") return undefined;
    return true;
  });
}

/** @returns the state of the attachment, if there is one */
async function isAttachedTo({ plan }: StepContext, party: Party, instanceId: string, volumeId: string) {
  const [volume] = await volumeKind(party, plan.jobId).describe([volumeId]);
  const found = volume?.Attachments?.find(({ InstanceId }) => InstanceId === instanceId);
  return found?.State === "detached" ? undefined : found?.State;
}

async function attach(party: Party, InstanceId: string, { volumeId, name }: Attachable): Promise<void> {
  const tried: string[] = [];
  for (;;) {
    const instance = (await findInstance(party, InstanceId)) ?? {};
    const Device = namesFor(instance, name).find((one) => !tried.includes(one));
    if (Device === undefined) throw noName(InstanceId);
    try {
      await party.ec2(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId, Device }), volumeId);
      return;
    } catch (error) {
      // EC2's answer was lost and the call repeated.
      if (awsCode(error) === "VolumeInUse") return;
      const isTaken = awsCode(error) === "InvalidParameterValue" && /already in use/i.test(String(error));
      if (!isTaken) throw error;
      tried.push(Device);
    }
  }
}

function namesFor(instance: Instance, wanted: string | null): string[] {
  const isUsed = (instance.BlockDeviceMappings ?? []).some(({ DeviceName }) => DeviceName === wanted);
  return [...(wanted === null || isUsed ? [] : [wanted]), ...freeDeviceNames(instance)];
}

function noName(instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Instance ${instanceId} has no device name free.`,
    remedy: "Detach volumes that are no longer needed, or leave --attach-to out.",
    object: instanceId,
  });
}
