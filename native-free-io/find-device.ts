import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { blockDeviceSizeBytes } from "./device-number.js";

const LOOK_INTERVAL_MS = 250;

/** Where the kernel shows its devices: `/sys` and `/dev`. */
export interface DeviceTree {
  sysfs: string;
  dev: string;
}

/** An EBS volume that is attached to this instance, or about to be. */
export interface AttachedVolume {
  volumeId: string;
  /** As EC2 calls the device: `/dev/sdf`. On Xen it is the device's real name, or `xvdf` is. */
  attachName: string;
  sizeBytes: number;
}

/**
 * Waits until a volume's device is there. @returns its path
 * @throws DeviceNotFound when it does not appear in time, DeviceSizeDiffers, AbortError
 */
export async function waitForDevice(
  volume: AttachedVolume,
  tree: DeviceTree,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<string> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const device = await findDevice(volume, tree);
    if (device !== undefined) {
      if (device.sizeBytes !== volume.sizeBytes) throw sizeDiffers(volume, device);
      return device.path;
    }
    if (performance.now() >= deadline) throw notFound(volume, tree, timeoutMs);
    await delay(LOOK_INTERVAL_MS, undefined, { signal });
  }
}

interface FoundDevice {
  path: string;
  sizeBytes: number;
}

/**
 * The kernel may give NVMe devices any number, but their serial number is the volume id without its dash (Amazon EBS User
 * Guide, "Map Amazon EBS volumes to NVMe device names"). Xen's devices have none and bear the attach name.
 */
async function findDevice(volume: AttachedVolume, tree: DeviceTree): Promise<FoundDevice | undefined> {
  const serial = volume.volumeId.replace("-", "");
  for (const name of await readdir(join(tree.sysfs, "block"))) {
    if ((await serialOf(name, tree)) !== serial) continue;
    const device = await blockDevice(join(tree.dev, name));
    if (device !== undefined) return device;
  }
  const letters = basename(volume.attachName).replace(/^(sd|xvd)/, "");
  return (await xenDevice(`sd${letters}`, tree)) ?? (await xenDevice(`xvd${letters}`, tree));
}

/** udev may link `sdf` to an NVMe device, also to that of a volume that was attached there before: its serial decides. */
async function xenDevice(name: string, tree: DeviceTree): Promise<FoundDevice | undefined> {
  const device = await blockDevice(join(tree.dev, name));
  if (device === undefined) return undefined;
  const kernelName = basename(await realpath(device.path));
  return (await serialOf(kernelName, tree)) === undefined ? device : undefined;
}

async function serialOf(name: string, tree: DeviceTree): Promise<string | undefined> {
  const serial = await readFile(join(tree.sysfs, "block", name, "device", "serial"), "utf8").catch(
    () => undefined,
  );
  return serial?.trim();
}

/** Undefined where there is no device, or one that is not ready: it has no size yet. */
async function blockDevice(path: string): Promise<FoundDevice | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isBlockDevice()) return undefined;
  const sizeBytes = await blockDeviceSizeBytes(stats.rdev).catch(() => 0);
  return sizeBytes === 0 ? undefined : { path, sizeBytes };
}

function notFound(volume: AttachedVolume, { sysfs, dev }: DeviceTree, timeoutMs: number): BlockferryError {
  return new BlockferryError({
    code: "DeviceNotFound",
    message: `No device of ${volume.volumeId} appeared within ${timeoutMs / 1000} seconds: none has its serial number in ${sysfs}/block, and ${dev} has none with the name of ${volume.attachName}.`,
    remedy:
      "Check that the volume is attached to this instance and in use; `lsblk -o NAME,SERIAL,SIZE` shows what is.",
    object: volume.volumeId,
  });
}

function sizeDiffers(volume: AttachedVolume, { path, sizeBytes }: FoundDevice): BlockferryError {
  return new BlockferryError({
    code: "DeviceSizeDiffers",
    message: `${path} has ${sizeBytes} bytes, and ${volume.volumeId} should have ${volume.sizeBytes}.`,
    remedy: "Nothing was read. Check which volume is attached there, and start the backup anew.",
    object: path,
  });
}
