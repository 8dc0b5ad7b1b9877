import {
  AttachVolumeCommand,
  type Instance,
  type InstanceTypeInfo,
  type Volume,
  type VolumeAttachment,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { awsCode, isDeviceNameTaken } from "./aws-errors.js";
import { findInstance } from "./instances.js";
import type { Party } from "./party.js";
import { type JobContext, poll, waitFor } from "./poll.js";
import { volumeKind } from "./volumes.js";

/** A volume to attach to an instance that is not a worker. */
interface Attachable {
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
  return attachmentTo(instanceId, volume);
}

/** Returns the attachment of a volume to an instance, in any state but `detached`. */
export function attachmentTo(instanceId: string, volume: Volume | undefined): VolumeAttachment | undefined {
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
  const isAttached = () => attachSuitably(party, instanceId, volume);
  if (volume.as === "data") {
    if (!(await isAttached())) throw noName(instanceId);
    return;
  }
  const what = `a device name for ${volume.volumeId}`;
  const wait = waitFor(context, what, instanceId, context.timing.visibleMs);
  await poll(wait, async () => (await isAttached()) || undefined);
}

/** Attaches a volume under a free name that suits it. @returns whether a name was free */
async function attachSuitably(party: Party, instanceId: string, volume: Attachable): Promise<boolean> {
  const { volumeId } = volume;
  try {
    const device = await attachUnderFreeName({
      ...{ instanceId, volumeId },
      readInstance: async () => (await findInstance(party, instanceId)) ?? {},
      namesFor: (instance) => namesFor(instance, volume),
      send: (command) => party.ec2(command, volumeId),
    });
    return device !== undefined;
  } catch (error) {
    if (isInUse(error)) return true;
    throw error;
  }
}

interface FreeNameAttachment {
  instanceId: string;
  volumeId: string;
  /** Reads the instance before each try. */
  readInstance(): Promise<Instance>;
  /** Returns the free device names that suit the volume, the best first. */
  namesFor(instance: Instance): string[];
  send(command: AttachVolumeCommand): Promise<unknown>;
}

/**
 * Attaches a volume under the first free name. When another caller takes that name first, the next free name
 * is tried.
 * @returns the name; undefined when no name is free
 * @throws the errors of `readInstance` and `send`
 */
export async function attachUnderFreeName(attachment: FreeNameAttachment): Promise<string | undefined> {
  const { instanceId: InstanceId, volumeId: VolumeId } = attachment;
  const taken = new Set<string>();
  for (;;) {
    const names = attachment.namesFor(await attachment.readInstance());
    const Device = names.find((name) => !taken.has(name));
    if (Device === undefined) return undefined;
    try {
      await attachment.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device }));
      return Device;
    } catch (error) {
      if (!isDeviceNameTaken(error)) throw error;
      taken.add(Device);
    }
  }
}

/**
 * Returns whether the volume is attached already. When EC2's answer was lost and the call repeated, it is
 * attached to this instance.
 */
export function isInUse(error: unknown): boolean {
  return awsCode(error) === "VolumeInUse";
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
    message: `Volume ${volumeId} is attached as ${device}, but instance ${instanceId} boots from ${name}.`,
    remedy: "Find out in CloudTrail who attached it, then restore again.",
    object: volumeId,
  });
}

function noName(instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Instance ${instanceId} has no free device name.`,
    remedy: "Detach volumes that are no longer needed, or leave --attach-to out.",
    object: instanceId,
  });
}

const letters = (from: string, to: string) =>
  Array.from({ length: to.charCodeAt(0) - from.charCodeAt(0) + 1 }, (_, i) =>
    String.fromCharCode(from.charCodeAt(0) + i),
  );

/**
 * Device names for data volumes: the recommended names first, then the other allowed names.
 * AWS: "Device names for volumes on Amazon EC2 instances", HVM.
 */
const DEVICE_NAMES = [
  ...letters("f", "p").map((letter) => `/dev/sd${letter}`),
  ...letters("b", "c").flatMap((first) => letters("a", "z").map((second) => `/dev/xvd${first}${second}`)),
];

/**
 * Most Nitro types have 28 slots, shared with network interfaces.
 * AWS: "Amazon EBS volume limits for Amazon EC2 instances".
 */
const NITRO_SLOTS = 28;
/** "Attaching more than 40 volumes to a Linux instance is supported on a best effort basis only." */
const XEN_SLOTS = 40;

/** Returns the device names that an instance does not use; `sdf` and `xvdf` count as one name. */
export function freeDeviceNames(instance: Instance): string[] {
  return DEVICE_NAMES.filter((name) => !usesDeviceName(instance, name));
}

/** Returns whether an instance uses a device name, in either spelling. */
export function usesDeviceName(instance: Instance, device: string): boolean {
  return (instance.BlockDeviceMappings ?? []).some(
    ({ DeviceName = "" }) => sameName(DeviceName) === sameName(device),
  );
}

/** Returns whether EC2 reserves a name for root volumes: `/dev/sda1` and `/dev/xvda`. */
export function isRootDeviceName(device: string): boolean {
  return sameName(device) === "a";
}

/** Returns the part of a device name that both spellings share, without a partition number. */
function sameName(device: string): string {
  return device.replace(/^\/dev\/(sd|xvd)/, "").replace(/\d+$/, "");
}

/**
 * Returns how many more volumes an instance can take; the root volume counts.
 * On a Nitro type with a shared limit, `MaximumEbsAttachments` already excludes the one network interface
 * that every instance has and the instance store: it is 27 for m5.large, and 26 for m5d.large with its one
 * disk. Every other interface takes one more slot.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/volume_limits.html
 * @param instance undefined for an instance that is not launched yet
 */
export function freeSlots(instance: Instance | undefined, type: InstanceTypeInfo | undefined): number {
  const volumes = instance?.BlockDeviceMappings?.length ?? 1;
  const limit = type?.EbsInfo?.MaximumEbsAttachments;
  if (type?.Hypervisor === "xen") return (limit ?? XEN_SLOTS) - volumes;
  if (type?.EbsInfo?.AttachmentLimitType === "dedicated") return (limit ?? NITRO_SLOTS) - volumes;
  const disks = (type?.InstanceStorageInfo?.Disks ?? []).reduce((sum, { Count = 0 }) => sum + Count, 0);
  const interfaces = instance?.NetworkInterfaces?.length ?? 1;
  return (limit ?? NITRO_SLOTS - 1 - disks) - (interfaces - 1) - volumes;
}
