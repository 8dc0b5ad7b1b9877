import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { runTool } from "./run-tool.js";

/** Mounts `source` on a new folder while `use` runs. Needs root. */
export async function withMount<T>(
  folder: string,
  mountArguments: string[],
  use: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(folder, { recursive: true });
  await runTool("mount", ...mountArguments, folder);
  try {
    return await use(folder);
  } finally {
    await runTool("umount", folder).catch(() => runTool("umount", "--lazy", folder));
  }
}

/** Mounts a file system in memory of `sizeBytes` on a new folder while `use` runs. Needs root. */
export function withMemoryFileSystem<T>(
  folder: string,
  sizeBytes: number,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  return withMount(folder, ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs"], use);
}

/** Mounts a file system in memory of `sizeBytes` until the test ends. Needs root. @returns the mount point */
export async function mountMemoryFileSystem(sizeBytes: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-test-disk-"));
  after(async () => {
    await runTool("umount", "--lazy", folder);
    await rmdir(folder);
  });
  await runTool("mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder);
  return folder;
}

/**
 * Makes an ext4 file system in `image`, and mounts it on a new folder. Needs root.
 * @param options further options of mke2fs
 */
export async function withExt4<T>(
  image: string,
  sizeBytes: number,
  folder: string,
  use: (folder: string) => Promise<T>,
  options: readonly string[] = [],
): Promise<T> {
  const make = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", ...options] as const;
  return withImage({ image, sizeBytes, make, mountOptions: "loop" }, folder, use);
}

/** Makes an XFS file system in `image`, and mounts it on a new folder. Needs root. */
export async function withXfs<T>(
  image: string,
  sizeBytes: number,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const make = ["mkfs.xfs", "-q", "-f"] as const;
  return withImage({ image, sizeBytes, make, mountOptions: "loop" }, folder, use);
}

/** Makes a btrfs file system in `image`, and mounts it on a new folder. Needs root. */
export async function withBtrfs<T>(
  image: string,
  sizeBytes: number,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const make = ["mkfs.btrfs", "--quiet", "--force"] as const;
  return withImage({ image, sizeBytes, make, mountOptions: "loop,commit=300" }, folder, use);
}

interface FileSystemImage {
  image: string;
  sizeBytes: number;
  /** The command that makes the file system; the image follows it. */
  make: readonly [tool: string, ...args: string[]];
  mountOptions: string;
}

async function withImage<T>(
  { image, sizeBytes, make: [tool, ...args], mountOptions }: FileSystemImage,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  await runTool("truncate", `--size=${sizeBytes}`, image);
  await runTool(tool, ...args, image);
  return withMount(folder, ["-o", mountOptions, image], use);
}
