import { constants, openSync } from "node:fs";
import { chmod, chown, type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { BlockferryError, systemErrorCode } from "../foundation/blockferry-error.js";
import { canonicalPath } from "../foundation/canonical-path.js";
import { PRIVATE_FILE_MODE } from "../foundation/private-modes.js";
import { statIfThere } from "../foundation/stat-if-there.js";
import { syncFolder } from "../foundation/sync-folder.js";
import { allocateAligned } from "./aligned-memory.js";
import { DIRECT_ALIGNMENT_BYTES } from "./block-source.js";
import { blockDeviceSizeBytes } from "./device-number.js";
import { deviceUser } from "./device-use.js";
import { newPartialPath } from "./partial-file.js";

/** What a thread needs to know of a target to write into it. */
export interface TargetDescription {
  kind: "block-device" | "file";
  /** Where the bytes go: the device, or the partial file that becomes the target when all is written. */
  writePath: string;
  /** Whether aligned writes go past the page cache with `O_DIRECT`. */
  direct: boolean;
}

export interface TargetOptions {
  /** Size of the volume to be written. */
  sizeBytes: number;
  /** What to do with a file that already holds data. */
  existing: "refuse" | "replace";
}

/**
 * A block device or file that a volume is restored to. A file grows under a name of its own beside the target and
 * takes the target's name only when it is complete and on disk, so a restore that fails leaves nothing behind.
 */
export class BlockTarget {
  private constructor(
    /** Without symbolic links, so that two targets can be told apart. */
    readonly path: string,
    readonly description: TargetDescription,
    /** Keeps a device claimed (`O_EXCL`), so that nobody can mount it meanwhile. */
    private readonly handle: FileHandle,
  ) {}

  /**
   * Checks that `path` can take the volume and prepares it. Nothing that exists has been changed when this throws.
   * @throws TargetNotUsable, TargetTooSmall, TargetInUse, TargetNotEmpty
   */
  static async prepare(path: string, options: TargetOptions): Promise<BlockTarget> {
    const stats = await statIfThere(path).catch((error: unknown) => {
      throw notUsable(path, error);
    });
    if (stats?.isBlockDevice()) return BlockTarget.prepareDevice(path, stats.rdev, options.sizeBytes);
    if (stats !== undefined && !stats.isFile()) {
      throw notUsable(path, new Error("it is neither a block device nor a regular file"));
    }
    if (stats !== undefined && stats.size > 0 && options.existing === "refuse") throw notEmpty(path);
    return BlockTarget.prepareFile(path, options.sizeBytes);
  }

  /** Makes what was written durable, and gives a file its name. */
  async commit(): Promise<void> {
    try {
      await this.handle.sync();
      if (this.description.kind === "file") {
        await rename(this.description.writePath, this.path);
        await syncFolder(dirname(this.path));
      }
    } catch (error) {
      throw notUsable(this.path, error);
    } finally {
      await this.handle.close();
    }
  }

  /** Lets go of the target without finishing it: a partial file is removed, a device stays as it is. */
  async discard(): Promise<void> {
    await this.handle.close();
    if (this.description.kind === "file") await rm(this.description.writePath, { force: true });
  }

  private static async prepareDevice(path: string, rdev: number, sizeBytes: number): Promise<BlockTarget> {
    const gone = (error: unknown) => Promise.reject(notUsable(path, error));
    const deviceBytes = await blockDeviceSizeBytes(rdev).catch(gone);
    if (deviceBytes < sizeBytes) throw tooSmall(path, deviceBytes, sizeBytes);
    const user = await deviceUser(path, rdev).catch(gone);
    if (user !== undefined) throw inUse(path, user);
    const handle = await open(path, constants.O_RDWR | constants.O_EXCL).catch((error: unknown) => {
      throw systemErrorCode(error) === "EBUSY"
        ? inUse(path, "another program has claimed it")
        : notUsable(path, error);
    });
    return new BlockTarget(path, { kind: "block-device", writePath: path, direct: true }, handle);
  }

  private static async prepareFile(path: string, sizeBytes: number): Promise<BlockTarget> {
    try {
      const finalPath = await canonicalPath(path);
      const writePath = await newPartialPath(finalPath);
      const handle = await open(writePath, "wx+", PRIVATE_FILE_MODE);
      try {
        await copyOwnership(finalPath, writePath);
        const direct = await supportsDirectWrites(writePath);
        await handle.truncate(0);
        await handle.truncate(sizeBytes);
        return new BlockTarget(finalPath, { kind: "file", writePath, direct }, handle);
      } catch (error) {
        await handle.close();
        await rm(writePath, { force: true });
        throw error;
      }
    } catch (error) {
      throw notUsable(path, error);
    }
  }
}

/** Opens a target for one thread's aligned writes (`direct`), or for the rest (`buffered`); the thread closes it. */
export function openBlockTarget(target: TargetDescription, mode: "direct" | "buffered"): number {
  const direct = mode === "direct" && target.direct ? constants.O_DIRECT : 0;
  return openSync(target.writePath, constants.O_WRONLY | direct);
}

/** A file that is replaced keeps its owner and mode. */
async function copyOwnership(from: string, to: string): Promise<void> {
  const stats = await stat(from).catch(() => undefined);
  if (stats === undefined) return;
  await chmod(to, stats.mode & 0o7777);
  await chown(to, stats.uid, stats.gid);
}

async function supportsDirectWrites(path: string): Promise<boolean> {
  try {
    const handle = await open(path, constants.O_WRONLY | constants.O_DIRECT);
    try {
      await handle.write(allocateAligned(DIRECT_ALIGNMENT_BYTES), 0, DIRECT_ALIGNMENT_BYTES, 0);
      return true;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "EINVAL") return false;
    throw error;
  }
}

function notUsable(path: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BlockferryError(
    {
      code: "TargetNotUsable",
      message: `${path} cannot be restored to: ${reason}.`,
      remedy:
        systemErrorCode(cause) === "EFBIG"
          ? "The file system there allows no file as large as the volume (ext4: 16 TiB - 4 KiB); use XFS, or a device."
          : "Give a block device, or a file in a folder that this user may write.",
      object: path,
    },
    cause,
  );
}

function tooSmall(path: string, deviceBytes: number, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "TargetTooSmall",
    message: `${path} holds ${deviceBytes} bytes, the volume needs ${sizeBytes}.`,
    remedy: "Restore to a device of at least the volume's size, or to a file.",
    object: path,
  });
}

function inUse(path: string, user: string): BlockferryError {
  return new BlockferryError({
    code: "TargetInUse",
    message: `${path} is in use: ${user}.`,
    remedy: "Unmount or release it first (`lsblk` shows its users), or restore to another device.",
    object: path,
  });
}

function notEmpty(path: string): BlockferryError {
  return new BlockferryError({
    code: "TargetNotEmpty",
    message: `${path} already holds data.`,
    remedy: "Restore to another path, or replace the file with --force.",
    object: path,
  });
}
