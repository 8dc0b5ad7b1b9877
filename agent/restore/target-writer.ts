import { closeSync, write } from "node:fs";
import { promisify } from "node:util";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../../foundation/errors.js";
import { allocateAligned, DIRECT_ALIGNMENT_BYTES } from "../../native-free-io/block-source.js";
import { openBlockTarget, type TargetDescription } from "../../native-free-io/block-target.js";

const writeAsync = promisify(write);

/** Zeros per write. */
const ZERO_RUN_BYTES = 4 * 1024 * 1024;
/**
 * Zeros within a chunk become holes in units of this size; smaller holes would cost more writes than the
 * space is worth.
 */
const HOLE_BYTES = 16 * 1024;
const HOLE = Buffer.alloc(HOLE_BYTES);

/**
 * One thread's descriptors of a target.
 * Aligned writes bypass the page cache; the unaligned tail of a volume goes through it.
 */
export class TargetWriter {
  private readonly direct: number;
  private buffered: number | undefined;
  private zeros: Buffer | undefined;

  constructor(private readonly target: TargetDescription) {
    this.direct = openBlockTarget(target, "direct");
  }

  /** Whether zeros must be written: a device holds old data, a new file is one hole. */
  get needsZeros(): boolean {
    return this.target.kind === "block-device";
  }

  /**
   * Writes data from the start of a chunk on: all of it to a device, only the parts that are not zeros to a
   * file.
   * @throws TargetWriteFailed
   */
  async writeData(data: Buffer, offset: number): Promise<void> {
    if (this.needsZeros) return this.write(data, offset);
    for (let start = 0; start < data.length; ) {
      const isHole = isHoleAt(data, start);
      let end = start + HOLE_BYTES;
      while (end < data.length && isHoleAt(data, end) === isHole) end += HOLE_BYTES;
      end = Math.min(end, data.length);
      if (!isHole) await this.write(data.subarray(start, end), offset + start);
      start = end;
    }
  }

  async writeZeros(offset: number, length: number): Promise<void> {
    this.zeros ??= allocateAligned(ZERO_RUN_BYTES);
    for (let done = 0; done < length; done += ZERO_RUN_BYTES) {
      await this.write(this.zeros.subarray(0, Math.min(ZERO_RUN_BYTES, length - done)), offset + done);
    }
  }

  close(): void {
    closeSync(this.direct);
    if (this.buffered !== undefined) closeSync(this.buffered);
  }

  private async write(bytes: Buffer, offset: number): Promise<void> {
    const fd = bytes.length % DIRECT_ALIGNMENT_BYTES === 0 ? this.direct : this.bufferedFd();
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await writeAsync(fd, bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw writeFailed(this.target, offset, error);
    }
  }

  private bufferedFd(): number {
    this.buffered ??= openBlockTarget(this.target, "buffered");
    return this.buffered;
  }
}

/**
 * Checks the first byte first: most data differ from zeros there, and that is far cheaper than making a view.
 */
function isHoleAt(data: Buffer, start: number): boolean {
  if (data[start] !== 0 || data.length - start < HOLE_BYTES) return false;
  return data.compare(HOLE, 0, HOLE_BYTES, start, start + HOLE_BYTES) === 0;
}

function writeFailed(target: TargetDescription, offset: number, cause: unknown): BlockferryError {
  const reason = systemErrorMessage(cause);
  const full = ["ENOSPC", "EDQUOT"].includes(systemErrorCode(cause) ?? "");
  return new BlockferryError(
    {
      code: "TargetWriteFailed",
      message: `${target.writePath} cannot be written at byte ${offset}: ${reason}.`,
      remedy: full
        ? "Free some space or raise the quota, or restore to another file system; then run the restore again."
        : "Check the device or file system (`dmesg` shows more), then run the restore again.",
      object: target.writePath,
      offset,
    },
    cause,
  );
}
