import { constants, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../foundation/errors.js";
import { blockDeviceSizeBytes } from "./devices.js";

/** Size of a WebAssembly page in bytes (WebAssembly core specification, 4.2.8). */
const WASM_PAGE_BYTES = 65_536;

/**
 * Allocates a zeroed buffer that starts on a page boundary. `O_DIRECT` requires that (open(2), NOTES). V8
 * maps a `WebAssembly.Memory` straight from the kernel. It is the only aligned allocation in plain Node; an
 * ordinary Buffer fails with EINVAL. Untouched pages take no memory.
 */
export function allocateAligned(sizeBytes: number): Buffer {
  const pages = Math.max(1, Math.ceil(sizeBytes / WASM_PAGE_BYTES));
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return Buffer.from(memory.buffer, 0, sizeBytes);
}

/**
 * Errors by which a device or file system reports a bad block, while other blocks may be fine. They are
 * numbers because Node names only some of them. Sources: block/blk-core.c, `blk_errors`; fs/btrfs and fs/xfs,
 * checksum and corruption errors.
 */
const BAD_BLOCK_ERRNOS: ReadonlySet<number> = new Set([
  5, // EIO: any other failure of the device
  61, // ENODATA: the medium cannot be read
  74, // EBADMSG: a checksum of the file system does not match
  84, // EILSEQ: the block's protection information does not match
  117, // EUCLEAN: the file system's structure is damaged
  121, // EREMOTEIO: the target of a network device reports a failure
]);

export function isBadBlock(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errno" in error &&
    typeof error.errno === "number" &&
    BAD_BLOCK_ERRNOS.has(-error.errno)
  );
}

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
    if (sizeBytes === 0 && bytesRead > 0) throw new Error("its size is reported as 0, but it holds data");
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
  const reason = systemErrorMessage(cause);
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

const SAMPLE_BYTES = 1024 * 1024;
/** Number of samples: the first and the last one, and others evenly between them. */
const SAMPLES = 64;

/**
 * Looks for data on a device that should be blank: an EBS volume that was not made from a snapshot reads as
 * zeros. Partition tables and the superblocks of file systems, LVM and RAID are at the ends.
 * @param fd of the open device
 * @returns the offset of the first sample with data; undefined when all samples are zeros
 */
export async function firstData(fd: number, sizeBytes: number): Promise<number | undefined> {
  // Bypasses the page cache, which may still have older data.
  const handle = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_DIRECT);
  try {
    const buffer = allocateAligned(SAMPLE_BYTES);
    const zeros = Buffer.alloc(SAMPLE_BYTES);
    for (const offset of sampleOffsets(sizeBytes)) {
      const bytes = await readSample(handle, buffer, offset, sizeBytes);
      if (!buffer.subarray(0, bytes).equals(zeros.subarray(0, bytes))) return offset;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

function sampleOffsets(sizeBytes: number): number[] {
  const last = Math.max(0, Math.ceil(sizeBytes / SAMPLE_BYTES) - 1);
  const numbers = Array.from({ length: SAMPLES }, (_, index) => Math.round((last * index) / (SAMPLES - 1)));
  return [...new Set(numbers)].map((number) => number * SAMPLE_BYTES);
}

async function readSample(
  handle: FileHandle,
  buffer: Buffer,
  offset: number,
  sizeBytes: number,
): Promise<number> {
  const wanted = Math.min(SAMPLE_BYTES, sizeBytes - offset);
  const { bytesRead } = await handle.read(buffer, 0, wanted, offset);
  if (bytesRead < wanted)
    throw new Error(`only ${bytesRead} of ${wanted} bytes could be read at byte ${offset}`);
  return bytesRead;
}
