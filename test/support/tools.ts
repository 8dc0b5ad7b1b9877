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

/** The programs that scripts install below .tools, and the script of each. */
const BUILT = {
  mfusepy: { path: "mfusepy-3.1.1/bin/python3", script: "scripts/mfusepy.sh" },
  rclone: { path: "rclone-v1.72.1/rclone", script: "scripts/s3-servers.sh" },
  s3rver: { path: "s3rver-3.7.1/node_modules/.bin/s3rver", script: "scripts/s3-servers.sh" },
  "s3s-fs": { path: "s3s-fs-0.14.1/bin/s3s-fs", script: "scripts/s3-servers.sh" },
  versitygw: { path: "versitygw-v1.8.0/versitygw", script: "scripts/s3-servers.sh" },
} as const;

type BuiltTool = keyof typeof BUILT;

export type Tool = keyof typeof PACKAGES | BuiltTool;

/** Returns the path of a program below .tools. */
export function builtTool(name: BuiltTool): string {
  return fileURLToPath(new URL(`../../../.tools/${BUILT[name].path}`, import.meta.url));
}

/** The Python with mfusepy. */
export const MFUSEPY = builtTool("mfusepy");

/**
 * Returns options of a test that runs `tools`. When one is missing, the test is skipped in quick depth and
 * fails in full depth.
 */
export function needing(...tools: Tool[]): { skip: string | false } {
  const missing = DEPTH === "full" ? [] : tools.filter((tool) => !isInstalled(tool));
  return { skip: missing.length > 0 && `needs ${missing.map(nameOf).join(", ")}` };
}

function isInstalled(tool: Tool): boolean {
  if (isBuilt(tool)) return isExecutable(builtTool(tool));
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
  return isBuilt(tool)
    ? `${tool} (installed by ${BUILT[tool].script})`
    : `${tool} (package ${PACKAGES[tool]})`;
}

function isBuilt(tool: Tool): tool is BuiltTool {
  return tool in BUILT;
}
