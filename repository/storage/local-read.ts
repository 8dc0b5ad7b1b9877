import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { type GetOptions, READ_SLACK_BYTES } from "./storage.js";

/** Does not follow a symbolic link, and does not wait for the other end of a FIFO. */
const OPEN_OBJECT = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const DIRECT_ALIGNMENT_BYTES = READ_SLACK_BYTES / 2;

/**
 * Reads a file, or a range of it. With a buffer, the read bypasses the page cache (`O_DIRECT`) if file system
 * and buffer allow it: a pack is read once, and to copy it from the page cache costs more than to prove the
 * data.
 * @param refuse throws if a whole file of this size is too large; called before memory is allocated
 * @throws NotRegular for anything except a regular file
 */
export async function readLocalFile(
  path: string,
  { range, into }: GetOptions,
  refuse: (sizeBytes: number) => void,
): Promise<Buffer> {
  if (range !== undefined && into !== undefined) {
    const direct = await withFile(path, constants.O_DIRECT, (file) => readDirect(file, range, into)).catch(
      (error: unknown) => {
        if (systemErrorCode(error) === "EINVAL") return undefined;
        throw error;
      },
    );
    if (direct !== undefined) return direct;
  }
  return withFile(path, 0, async (file) => {
    const length = range?.length ?? (await file.stat()).size;
    if (range === undefined) refuse(length);
    const buffer = into ?? Buffer.allocUnsafe(length);
    const window = { offset: range?.offset ?? 0, length };
    return buffer.subarray(0, await readAtLeast(file, buffer, window, length));
  });
}

/** Reads whole blocks around the range. */
async function readDirect(
  file: FileHandle,
  range: { offset: number; length: number },
  into: Buffer,
): Promise<Buffer> {
  const skip = range.offset % DIRECT_ALIGNMENT_BYTES;
  const blocks = Math.ceil((skip + range.length) / DIRECT_ALIGNMENT_BYTES);
  const window = { offset: range.offset - skip, length: blocks * DIRECT_ALIGNMENT_BYTES };
  const bytesRead = await readAtLeast(file, into, window, skip + range.length);
  return into.subarray(skip, Math.max(skip, Math.min(bytesRead, skip + range.length)));
}

/** Reads at least `enough` bytes. @returns the bytes read; fewer than `enough` only at the end of the file */
async function readAtLeast(
  file: FileHandle,
  into: Buffer,
  { offset, length }: { offset: number; length: number },
  enough: number,
): Promise<number> {
  let done = 0;
  while (done < enough) {
    const { bytesRead } = await file.read(into, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** The path of an object is not a regular file: a folder, a symbolic link, a FIFO, a socket or a device. */
export class NotRegular extends Error {}

async function withFile<T>(path: string, flags: number, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, OPEN_OBJECT | flags).catch((error: unknown) => {
    // ELOOP: a symbolic link. ENXIO: a socket, or a device without a driver.
    if (["ELOOP", "ENXIO"].includes(systemErrorCode(error) ?? "")) throw new NotRegular();
    throw error;
  });
  try {
    if (!(await file.stat()).isFile()) throw new NotRegular();
    return await use(file);
  } finally {
    await file.close();
  }
}
