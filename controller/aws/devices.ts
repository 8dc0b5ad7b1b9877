import type { Instance, InstanceTypeInfo } from "@aws-sdk/client-ec2";

const letters = (from: string, to: string) =>
  Array.from({ length: to.charCodeAt(0) - from.charCodeAt(0) + 1 }, (_, i) =>
    String.fromCharCode(from.charCodeAt(0) + i),
  );

/**
 * Names for data volumes, those that AWS recommends first, then those that it allows besides. AWS: "Device names for volumes
 * on Amazon EC2 instances", HVM.
 */
const DEVICE_NAMES = [
  ...letters("f", "p").map((letter) => `/dev/sd${letter}`),
  ...letters("b", "c").flatMap((first) => letters("a", "z").map((second) => `/dev/xvd${first}${second}`)),
];

/** AWS: "Amazon EBS volume limits for Amazon EC2 instances": most Nitro types have 28 slots, shared with network interfaces. */
const NITRO_SLOTS = 28;
/** "Attaching more than 40 volumes to a Linux instance is supported on a best effort basis only." */
const XEN_SLOTS = 40;

/** Device names that an instance does not use, `sdf` and `xvdf` being one. */
export function freeDeviceNames(instance: Instance): string[] {
  return DEVICE_NAMES.filter((name) => !usesDeviceName(instance, name));
}

/** Whether an instance uses a device name, by whichever of its two spellings. */
export function usesDeviceName(instance: Instance, device: string): boolean {
  return (instance.BlockDeviceMappings ?? []).some(
    ({ DeviceName = "" }) => sameName(DeviceName) === sameName(device),
  );
}

/** Whether EC2 keeps a name for root volumes: `/dev/sda1` and `/dev/xvda`. */
export function isRootDeviceName(device: string): boolean {
  return sameName(device) === "a";
}

/** What the two spellings of a device name, and one with the number of a partition, have in common. */
export function sameName(device: string): string {
  return device.replace(/^\/dev\/(sd|xvd)/, "").replace(/\d+$/, "");
}

/**
 * How many more volumes can be attached to an instance of a type; the root volume is one, too. Of a Nitro type with a shared
 * limit `MaximumEbsAttachments` leaves out the one network interface that every instance has and the instance store: it is 27
 * for m5.large, 26 for m5d.large with its one disk. Every other interface takes one more.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/volume_limits.html
 * @param instance undefined for one that is not launched yet
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
