import { constants, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { BlockferryError, systemErrorCode } from "../foundation/blockferry-error.js";
import { allocateAligned } from "./aligned-memory.js";
import { isBadBlock } from "./bad-block.js";
import { blockDeviceSizeBytes } from "./device-number.js";

/** Every read starts and ends on a multiple of this: the largest logical sector in use. */
export const DIRECT_ALIGNMENT_BYTES = 4096;

/**
 * A block device or image file, open for reading. All operations use this one descriptor, which all threads
 * share. A path can come to name another file at any moment, but a descriptor cannot.
 */
export class BlockSource {
  private constructor(
    readonly path: string,
    readonly kind: "block-device" | "file",
    readonly sizeBytes: number,
    /** Device number, as in `Stats`; 0 for a file. */
    readonly rdev: number,
    /** Whether reads bypass the page cache with `O_DIRECT`. */
    readonly direct: boolean,
    private readonly handle: FileHandle,
    private readonly modifiedAtMs: number,
  ) {}

  /** Opens a device or an image file. @throws SourceNotFound, SourceUnreadable */
  static async open(path: string): Promise<BlockSource> {
    try {
      kindOf(await stat(path));
      const opened = await openForReading(path);
      try {
        return await BlockSource.inspect(path, opened);
      } catch (error) {
        await opened.handle.close();
        throw error;
      }
    } catch (error) {
      throw systemErrorCode(error) === "ENOENT" ? notFound(path, error) : unreadable(path, error);
    }
  }

  /** The descriptor, for `pread` only, in any thread of this process. It is closed with the source. */
  get fd(): number {
    return this.handle.fd;
  }

  /** Returns whether a file was modified after it was opened. Changes to a device cannot be detected. */
  async hasChanged(): Promise<boolean> {
    if (this.kind === "block-device") return false;
    const { size, mtimeMs } = await this.handle.stat();
    return size !== this.sizeBytes || mtimeMs !== this.modifiedAtMs;
  }

  /** Returns the current size in bytes. A block device keeps its size while it is open. */
  async sizeNowBytes(): Promise<number> {
    return this.kind === "block-device" ? this.sizeBytes : (await this.handle.stat()).size;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private static async inspect(path: string, opened: OpenedFile): Promise<BlockSource> {
    const stats = await opened.handle.stat();
    const kind = kindOf(stats);
    const sizeBytes = kind === "file" ? stats.size : await blockDeviceSizeBytes(stats.rdev);
    const readable = await acceptsAlignedReads(opened.handle, sizeBytes);
    const { handle, direct } = readable ? opened : await reopenBuffered(opened.handle);
    return new BlockSource(path, kind, sizeBytes, stats.rdev, direct, handle, stats.mtimeMs);
  }
}

interface OpenedFile {
  handle: FileHandle;
  /** Whether it was opened with `O_DIRECT`. */
  direct: boolean;
}

/**
 * Opens a file with `O_DIRECT` if possible. Some file systems refuse it at open,
 * others only at the first read.
 */
async function openForReading(path: string): Promise<OpenedFile> {
  try {
    return { handle: await open(path, constants.O_RDONLY | constants.O_DIRECT), direct: true };
  } catch (error) {
    if (systemErrorCode(error) !== "EINVAL") throw error;
    return { handle: await open(path, constants.O_RDONLY), direct: false };
  }
}

/** Reopens the same file, whatever its path names now (proc_pid_fd(5)). */
async function reopenBuffered(direct: FileHandle): Promise<OpenedFile> {
  const handle = await open(`/proc/self/fd/${direct.fd}`, constants.O_RDONLY);
  await direct.close();
  return { handle, direct: false };
}

async function acceptsAlignedReads(handle: FileHandle, sizeBytes: number): Promise<boolean> {
  try {
    const { bytesRead } = await handle.read(
      allocateAligned(DIRECT_ALIGNMENT_BYTES),
      0,
      DIRECT_ALIGNMENT_BYTES,
      0,
    );
    if (sizeBytes === 0 && bytesRead > 0) throw new Error("its size is said to be 0, yet it holds data");
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EINVAL" || code === "EOPNOTSUPP") return false;
    if (isBadBlock(error)) return true;
    throw error;
  }
}

function kindOf(stats: Stats): "block-device" | "file" {
  if (stats.isBlockDevice()) return "block-device";
  if (stats.isFile()) return "file";
  throw new Error("it is neither a block device nor a regular file");
}

function notFound(path: string, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "SourceNotFound",
      message: `${path} does not exist.`,
      remedy: "Check the path; `lsblk` lists the block devices of this machine.",
      object: path,
    },
    cause,
  );
}

function unreadable(path: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
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
