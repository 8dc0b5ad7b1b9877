import { readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import { deviceNumber } from "./device-number.js";

/**
 * Returns the user of a block device or one of its partitions. That is a mount, swap, or a device stacked on
 * top (LVM, RAID, dm-crypt), as a clause; undefined means no user. `O_EXCL` at open makes the same check, but
 * does not name the user.
 */
export async function deviceUser(path: string, rdev: number): Promise<string | undefined> {
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
  for (const line of (await readFile("/proc/self/mountinfo", "utf8")).split("\n")) {
    const fields = line.split(" ");
    if (numbers.has(fields[2] ?? "")) return `it is mounted on ${fields[4]}`;
  }
  return undefined;
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
