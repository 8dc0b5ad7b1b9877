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
  await runTool("truncate", `--size=${sizeBytes}`, image);
  await runTool("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", ...options, image);
  return withMount(folder, ["-o", "loop", image], use);
}

/** Makes an XFS file system in `image`, and mounts it on a new folder. Needs root. */
export async function withXfs<T>(
  image: string,
  sizeBytes: number,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  await runTool("truncate", `--size=${sizeBytes}`, image);
  await runTool("mkfs.xfs", "-q", "-f", image);
  return withMount(folder, ["-o", "loop", image], use);
}

/** Makes a btrfs file system in `image`, and mounts it on a new folder. Needs root. */
export async function withBtrfs<T>(
  image: string,
  sizeBytes: number,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  await runTool("truncate", `--size=${sizeBytes}`, image);
  await runTool("mkfs.btrfs", "--quiet", "--force", image);
  return withMount(folder, ["-o", "loop,commit=300", image], use);
}
