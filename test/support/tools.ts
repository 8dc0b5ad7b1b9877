import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEPTH } from "./depth.js";

/**
 * The commands that tests run, and the Debian package of each. In full depth, scripts/test.sh installs the
 * packages.
 * @public
 */
export const PACKAGES = {
  addpart: "util-linux",
  borg: "borgbackup",
  chromium: "chromium",
  cryptsetup: "cryptsetup-bin",
  fio: "fio",
  fusermount3: "fuse3",
  losetup: "mount",
  mke2fs: "e2fsprogs",
  "mkfs.ext2": "e2fsprogs",
  "mkfs.ext3": "e2fsprogs",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.vfat": "dosfstools",
  "mkfs.xfs": "xfsprogs",
  mksquashfs: "squashfs-tools",
  mkswap: "util-linux",
  nbdcopy: "libnbd-bin",
  nbdfuse: "libnbd-bin",
  nbdinfo: "libnbd-bin",
  nbdkit: "nbdkit",
  openssl: "openssl",
  pvcreate: "lvm2",
  "qemu-img": "qemu-utils",
  restic: "restic",
  script: "bsdutils",
  setpriv: "util-linux",
  sfdisk: "fdisk",
  sgdisk: "gdisk",
  strace: "strace",
  wipefs: "util-linux",
} as const;

/** The S3 server that scripts/s3-servers.sh builds from Go modules. */
export const VERSITYGW = fileURLToPath(
  new URL("../../../.tools/versitygw-v1.8.0/versitygw", import.meta.url),
);

/** The Python for which scripts/mfusepy.sh installs mfusepy. */
export const MFUSEPY = fileURLToPath(new URL("../../../.tools/mfusepy-3.1.1/bin/python3", import.meta.url));

export type Tool = keyof typeof PACKAGES | "mfusepy" | "versitygw";

/**
 * Returns options of a test that runs `tools`. When one is missing, the test is skipped in quick depth and
 * fails in full depth.
 */
export function needing(...tools: Tool[]): { skip: string | false } {
  const missing = DEPTH === "full" ? [] : tools.filter((tool) => !isInstalled(tool));
  return { skip: missing.length > 0 && `needs ${missing.map(nameOf).join(", ")}` };
}

function isInstalled(tool: Tool): boolean {
  if (tool === "versitygw") return isExecutable(VERSITYGW);
  if (tool === "mfusepy") return isExecutable(MFUSEPY);
  const folders = `${process.env.PATH}:/usr/sbin:/sbin`.split(delimiter);
  return folders.some((folder) => isExecutable(join(folder, tool)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function nameOf(tool: Tool): string {
  if (tool === "versitygw") return "versitygw (built with Go)";
  if (tool === "mfusepy") return "mfusepy (installed by scripts/mfusepy.sh)";
  return `${tool} (package ${PACKAGES[tool]})`;
}
