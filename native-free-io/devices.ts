import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../foundation/errors.js";
import { atPlace, type HeldPlace } from "../foundation/held-place.js";
import { bareEnvironment, shellBytes } from "../foundation/shell.js";

/**
 * The unit of sizes in sysfs, independent of the sector size of the device (Documentation/ABI/stable/sysfs-block).
 */
export const SYSFS_SECTOR_BYTES = 512;

/** Returns "major:minor" for `stat().rdev`, split as in glibc's gnu_dev_major and gnu_dev_minor. */
export function deviceNumber(rdev: number): string {
  const high = Math.floor(rdev / 2 ** 32);
  const low = rdev % 2 ** 32;
  const major = ((low >>> 8) & 0xfff) + (high & ~0xfff);
  const minor = (low & 0xff) + ((low >>> 12) & ~0xff);
  return `${major}:${minor}`;
}

/** Returns the size of a block device in bytes, from sysfs: `fstat` on a block device always returns 0. */
export async function blockDeviceSizeBytes(rdev: number): Promise<number> {
  const sectors = await readFile(`/sys/dev/block/${deviceNumber(rdev)}/size`, "utf8");
  return Number(sectors.trim()) * SYSFS_SECTOR_BYTES;
}

/**
 * A block device that is open for writing and claimed. `O_EXCL` keeps anyone from mounting it. Its path can
 * come to name another device at any moment, but all checks and writes go to the same device.
 */
export class ClaimedDevice {
  private constructor(
    readonly path: string,
    /** Device number, as in `Stats`. */
    readonly rdev: number,
    readonly sizeBytes: number,
    readonly handle: FileHandle,
  ) {}

  /** Opens and claims a device. @throws TargetInUse, TargetNotUsable */
  static async open(path: string): Promise<ClaimedDevice> {
    try {
      return await atPlace(path, (place) => ClaimedDevice.openAt(place, path));
    } catch (error) {
      throw targetNotUsable(path, error);
    }
  }

  /**
   * Opens and claims the device at a held place.
   * @param path for messages
   * @throws TargetInUse, TargetNotUsable
   */
  static async openAt(place: HeldPlace, path: string): Promise<ClaimedDevice> {
    const handle = await claim(place, path);
    try {
      const stats = await handle.stat();
      if (!stats.isBlockDevice()) throw new Error("it is no longer a block device");
      const user = await deviceUser(path, stats.rdev);
      if (user !== undefined) throw targetInUse(path, user);
      return new ClaimedDevice(path, stats.rdev, await blockDeviceSizeBytes(stats.rdev), handle);
    } catch (error) {
      await handle.close();
      throw targetNotUsable(path, error);
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

async function claim(place: HeldPlace, path: string): Promise<FileHandle> {
  try {
    return await place.open(constants.O_RDWR | constants.O_EXCL);
  } catch (error) {
    if (systemErrorCode(error) !== "EBUSY") throw targetNotUsable(path, error);
    const rdev = (await place.status())?.rdev;
    const user = rdev === undefined ? undefined : await deviceUser(path, rdev).catch(() => undefined);
    throw targetInUse(path, user ?? "another program has claimed it");
  }
}

/**
 * Returns the user of a block device or one of its partitions. That is a mount, swap, or a device stacked on
 * top (LVM, RAID, dm-crypt), as a clause; undefined means no user. `O_EXCL` at open makes the same check, but
 * does not name the user.
 */
async function deviceUser(path: string, rdev: number): Promise<string | undefined> {
  const disk = basename(await readlink(`/sys/dev/block/${deviceNumber(rdev)}`));
  const numbers = await numbersOf(rdev, disk);
  return (
    (await mountOf(numbers)) ?? (await swapOf(path, numbers.names)) ?? (await holderOf(rdev, numbers.names))
  );
}

interface DeviceNumbers {
  /** "major:minor" of the device and its partitions. */
  numbers: Set<string>;
  /** Kernel names of the device and its partitions. */
  names: string[];
}

async function numbersOf(rdev: number, disk: string): Promise<DeviceNumbers> {
  const numbers = new Set([deviceNumber(rdev)]);
  const names = [disk];
  const folder = `/sys/dev/block/${deviceNumber(rdev)}`;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(disk)) continue;
    const number = await readFile(`${folder}/${name}/dev`, "utf8").catch(() => undefined);
    if (number === undefined) continue;
    numbers.add(number.trim());
    names.push(name);
  }
  return { numbers, names };
}

/**
 * Returns a mount of one of the devices. Field 3 is major:minor,
 * field 5 the mount point (proc_pid_mountinfo(5)).
 */
async function mountOf({ numbers }: DeviceNumbers): Promise<string | undefined> {
  for (const line of (await readFile("/proc/self/mountinfo", "latin1")).split("\n")) {
    const fields = line.split(" ");
    if (numbers.has(fields[2] ?? "")) return `it is mounted on ${shellBytes(unescaped(fields[4] ?? ""))}`;
  }
  return undefined;
}

/** Returns the bytes of a field of mountinfo. The kernel writes spaces and the like in octal: `\\040`. */
function unescaped(field: string): Buffer {
  const octal = /\\([0-3][0-7]{2})/g;
  return Buffer.from(
    field.replace(octal, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    "latin1",
  );
}

async function swapOf(path: string, names: string[]): Promise<string | undefined> {
  const swaps = await readFile("/proc/swaps", "utf8").catch(() => "");
  const devices = new Set([path, ...names.map((name) => `/dev/${name}`)]);
  const used = swaps.split("\n").some((line) => devices.has(line.split(/\s/)[0] ?? ""));
  return used ? "it is swap space" : undefined;
}

async function holderOf(rdev: number, names: string[]): Promise<string | undefined> {
  const folder = `/sys/dev/block/${deviceNumber(rdev)}`;
  for (const name of ["", ...names.slice(1)]) {
    const holders = await readdir(`${folder}/${name}/holders`).catch(() => []);
    if (holders.length > 0) return `${holders.join(", ")} is built on it`;
  }
  return undefined;
}

/** Far more than any tool prints about a device. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

interface ToolRun {
  /** Exit code; null after a signal. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a tool on an open device. The tool gets the descriptor, because the path can come to name another
 * device.
 * @param args the path of the device follows them
 * @param timeoutMs the tool is killed after this time; 0 for no limit
 * @throws ENOENT if the tool is not installed
 */
export function runOnDevice(fd: number, tool: string, args: string[], timeoutMs = 0): Promise<ToolRun> {
  const environment = bareEnvironment();
  const child = spawn(tool, [...args, "/proc/self/fd/3"], {
    ...{ stdio: ["ignore", "pipe", "pipe", fd], timeout: timeoutMs, killSignal: "SIGKILL" },
    env: { ...environment, PATH: `${environment.PATH}:/usr/sbin:/sbin` },
  });
  return new Promise((resolve, reject) => {
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      (child[name] as Readable).setEncoding("utf8").on("data", (text: string) => {
        output[name] += text;
        if (output[name].length > MAX_OUTPUT_BYTES) child.kill("SIGKILL");
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...output }));
  });
}

/** Returns the error for a path that cannot be restored to. A BlockferryError stays as it is. */
export function targetNotUsable(path: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const reason = systemErrorMessage(cause);
  return new BlockferryError(
    {
      code: "TargetNotUsable",
      message: `Cannot restore to ${path}: ${reason}.`,
      remedy:
        systemErrorCode(cause) === "EFBIG"
          ? "The file system there does not allow a file as large as the volume (ext4: 16 TiB - 4 KiB); use XFS, or a device."
          : "Give a block device, or a file in a folder that this user may write.",
      object: path,
    },
    cause,
  );
}

export function targetTooSmall(path: string, deviceBytes: number, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "TargetTooSmall",
    message: `${path} has ${deviceBytes} bytes, but the volume needs ${sizeBytes}.`,
    remedy: "Restore to a device of at least the volume's size, or to a file.",
    object: path,
  });
}

/** Returns the error for a target in use. @param user a clause that names the user */
function targetInUse(path: string, user: string): BlockferryError {
  return new BlockferryError({
    code: "TargetInUse",
    message: `${path} is in use: ${user}.`,
    remedy: "Unmount or release it first (`lsblk` shows its users), or restore to another device.",
    object: path,
  });
}

export function targetNotEmpty(path: string): BlockferryError {
  return new BlockferryError({
    code: "TargetNotEmpty",
    message: `${path} already holds data.`,
    remedy: "Restore to another path, or replace the file with --force.",
    object: path,
  });
}
