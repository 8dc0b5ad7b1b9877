import { readFile } from "node:fs/promises";

/** A sector as sysfs counts it, whatever the device's own sector size (Documentation/ABI/stable/sysfs-block). */
const SYSFS_SECTOR_BYTES = 512;

/** "major:minor" of a device, from `stat().rdev`, split as glibc's gnu_dev_major and gnu_dev_minor do. */
export function deviceNumber(rdev: number): string {
  const high = Math.floor(rdev / 2 ** 32);
  const low = rdev % 2 ** 32;
  const major = ((low >>> 8) & 0xfff) + (high & ~0xfff);
  const minor = (low & 0xff) + ((low >>> 12) & ~0xff);
  return `${major}:${minor}`;
}

/** Size of a block device in bytes. sysfs knows it; `fstat` on a block device always answers 0. */
export async function blockDeviceSizeBytes(rdev: number): Promise<number> {
  const sectors = await readFile(`/sys/dev/block/${deviceNumber(rdev)}/size`, "utf8");
  return Number(sectors.trim()) * SYSFS_SECTOR_BYTES;
}
