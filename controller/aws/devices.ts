import type { Instance, InstanceTypeInfo } from "@aws-sdk/client-ec2";

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
export function sameName(device: string): string {
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
