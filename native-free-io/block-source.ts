import { closeSync, constants, openSync, read, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { BlockferryError, systemErrorCode } from "../foundation/blockferry-error.js";
import { allocateAligned } from "./aligned-memory.js";
import { blockDeviceSizeBytes } from "./device-number.js";

const readAsync = promisify(read);

/** Every read starts and ends on a multiple of this: the largest logical sector in use. */
export const DIRECT_ALIGNMENT_BYTES = 4096;

/** A block device or image file that can be read, as it was found. */
export interface BlockSource {
  path: string;
  kind: "block-device" | "file";
  sizeBytes: number;
  /** Bytes the file system has allocated; fewer than `sizeBytes` means the file has holes. */
  allocatedBytes: number;
  /** Whether reads go past the page cache with `O_DIRECT`. */
  direct: boolean;
}

/**
 * Finds out what stands at `path` and how it can be read.
 * @throws SourceNotFound, SourceUnreadable
 */
export async function inspectBlockSource(path: string): Promise<BlockSource> {
  const stats = await statSource(path);
  if (stats.isBlockDevice()) {
    const sizeBytes = await blockDeviceSizeBytes(stats.rdev);
    return {
      path,
      kind: "block-device",
      sizeBytes,
      allocatedBytes: sizeBytes,
      direct: await supportsDirect(path),
    };
  }
  if (stats.isFile()) {
    const allocatedBytes = stats.blocks * 512;
    return { path, kind: "file", sizeBytes: stats.size, allocatedBytes, direct: await supportsDirect(path) };
  }
  throw unreadable(path, "it is neither a block device nor a regular file");
}

/** Opens a source read-only; whoever opens it closes it. */
export function openBlockSource(source: Pick<BlockSource, "path" | "direct">): number {
  return openSync(source.path, constants.O_RDONLY | (source.direct ? constants.O_DIRECT : 0));
}

async function statSource(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw unreadable(path, describe(error), error);
    throw new BlockferryError(
      {
        code: "SourceNotFound",
        message: `${path} does not exist.`,
        remedy: "Check the path; `lsblk` lists the block devices of this machine.",
        object: path,
      },
      error,
    );
  }
}

/** Some file systems refuse `O_DIRECT` when the file is opened, some only when it is read. */
async function supportsDirect(path: string): Promise<boolean> {
  try {
    const fd = openBlockSource({ path, direct: true });
    try {
      await readAsync(fd, allocateAligned(DIRECT_ALIGNMENT_BYTES), 0, DIRECT_ALIGNMENT_BYTES, 0);
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EINVAL" || code === "EOPNOTSUPP") return false;
    if (code === "EIO") return true;
    throw unreadable(path, describe(error), error);
  }
}

function unreadable(path: string, reason: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "SourceUnreadable",
      message: `${path} cannot be read: ${reason}.`,
      remedy: "Give a block device or image file that this user may read (block devices usually need root).",
      object: path,
    },
    cause,
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
