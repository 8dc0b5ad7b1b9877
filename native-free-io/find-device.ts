import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { BlockferryError } from "../foundation/errors.js";
import { pause } from "../foundation/retry.js";
import { blockDeviceSizeBytes, deviceNumber } from "./devices.js";

const LOOK_INTERVAL_MS = 250;

/** The folders in which the kernel shows its devices: `/sys` and `/dev`. */
export interface DeviceTree {
  sysfs: string;
  dev: string;
}

/** An EBS volume that is attached to this instance, or about to be. */
export interface AttachedVolume {
  volumeId: string;
  /** The name that EC2 uses for the device: `/dev/sdf`. On Xen the device has this name, or `xvdf`. */
  attachName: string;
  sizeBytes: number;
}

/** An open device. Facts about it stay true, whatever its path comes to name. */
export interface OpenDevice {
  path: string;
  /** As in `Stats`. */
  rdev: number;
  sizeBytes: number;
  close(): Promise<void>;
}

export interface DeviceWait<Device extends OpenDevice> {
  /** Opens the device as the caller needs it. */
  open(path: string): Promise<Device>;
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Waits until a volume's device appears, and opens it. Reads the serial number again after opening, since the
 * kernel may have given the device name to another volume in between.
 * @returns the device, for the caller to close
 * @throws DeviceNotFound when it does not appear in time, DeviceSizeDiffers, the signal's reason, the errors of `open`
 */
export async function waitForDevice<Device extends OpenDevice>(
  volume: AttachedVolume,
  tree: DeviceTree,
  { open, timeoutMs, signal }: DeviceWait<Device>,
): Promise<Device> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await findDevice(volume, tree);
    if (found !== undefined) {
      const device = await open(found.path);
      if (await isStill(found, device, tree)) {
        if (device.sizeBytes === volume.sizeBytes) return device;
        await device.close();
        throw sizeDiffers(volume, device);
      }
      await device.close();
    }
    if (performance.now() >= deadline) throw notFound(volume, tree, timeoutMs);
    await pause(LOOK_INTERVAL_MS, signal);
  }
}

interface FoundDevice {
  path: string;
  /** The kernel's name for the device: `nvme1n1`. */
  kernelName: string;
  /** As in `Stats`. */
  rdev: number;
  /** Undefined for Xen devices. */
  serial: string | undefined;
}

/** Returns whether the opened device is the one that was found, and still has its serial number. */
async function isStill(found: FoundDevice, { rdev }: OpenDevice, tree: DeviceTree): Promise<boolean> {
  if (rdev !== found.rdev) return false;
  const number = await kernelAnswer(found.kernelName, "dev", tree);
  if (number !== undefined && number !== deviceNumber(rdev)) return false;
  return (await serialOf(found.kernelName, tree)) === found.serial;
}

/**
 * Finds the device of a volume. The kernel may give NVMe devices any number, but their serial number is the
 * volume id without its dash (Amazon EBS User Guide, "Map Amazon EBS volumes to NVMe device names"). Xen
 * devices have no serial number; their name is the attach name.
 */
async function findDevice(volume: AttachedVolume, tree: DeviceTree): Promise<FoundDevice | undefined> {
  const serial = volume.volumeId.replace("-", "");
  for (const name of await readdir(join(tree.sysfs, "block"))) {
    if ((await serialOf(name, tree)) !== serial) continue;
    const device = await blockDevice(join(tree.dev, name));
    if (device !== undefined) return { ...device, kernelName: name, serial };
  }
  const letters = basename(volume.attachName).replace(/^(sd|xvd)/, "");
  return (await xenDevice(`sd${letters}`, tree)) ?? (await xenDevice(`xvd${letters}`, tree));
}

/**
 * Returns the Xen device of this name. udev may link `sdf` to an NVMe device, even to one of a volume that
 * was attached under that name earlier. A device with a serial number is therefore not a Xen device.
 */
async function xenDevice(name: string, tree: DeviceTree): Promise<FoundDevice | undefined> {
  const device = await blockDevice(join(tree.dev, name));
  if (device === undefined) return undefined;
  const kernelName = basename(await realpath(device.path));
  const serial = await serialOf(kernelName, tree);
  return serial === undefined ? { ...device, kernelName, serial } : undefined;
}

function serialOf(name: string, tree: DeviceTree): Promise<string | undefined> {
  return kernelAnswer(name, "device/serial", tree);
}

/** Returns a sysfs attribute of a device, trimmed; undefined when the device does not have it. */
async function kernelAnswer(name: string, file: string, { sysfs }: DeviceTree): Promise<string | undefined> {
  const text = await readFile(join(sysfs, "block", name, file), "utf8").catch(() => undefined);
  return text?.trim();
}

/** Returns undefined without a device, and for a device that is not ready: it has no size yet. */
async function blockDevice(path: string): Promise<Pick<FoundDevice, "path" | "rdev"> | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isBlockDevice()) return undefined;
  const sizeBytes = await blockDeviceSizeBytes(stats.rdev).catch(() => 0);
  return sizeBytes === 0 ? undefined : { path, rdev: stats.rdev };
}

function notFound(volume: AttachedVolume, { sysfs, dev }: DeviceTree, timeoutMs: number): BlockferryError {
  return new BlockferryError({
    code: "DeviceNotFound",
    message: `No device of ${volume.volumeId} appeared within ${timeoutMs / 1000} seconds: no device in ${sysfs}/block has its serial number, and no device in ${dev} matches the name ${volume.attachName}.`,
    remedy:
      "Check that the volume is attached to this instance and in use; `lsblk -o NAME,SERIAL,SIZE` lists the attached volumes.",
    object: volume.volumeId,
  });
}

function sizeDiffers(volume: AttachedVolume, { path, sizeBytes }: OpenDevice): BlockferryError {
  return new BlockferryError({
    code: "DeviceSizeDiffers",
    message: `${path} has ${sizeBytes} bytes, but ${volume.volumeId} should have ${volume.sizeBytes}.`,
    remedy: "Nothing was read. Check which volume is attached there, and start the backup again.",
    object: path,
  });
}
