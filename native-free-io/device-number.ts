import { readFile } from "node:fs/promises";

/**
 * The unit of sizes in sysfs, independent of the sector size of the device (Documentation/ABI/stable/sysfs-block).
 */
const SYSFS_SECTOR_BYTES = 512;

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
