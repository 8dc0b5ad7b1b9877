import { constants } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import type { LocalTempFile } from "./local-temp-file.js";
import type { Upload } from "./storage.js";

const DIRECT_ALIGNMENT_BYTES = 4096;

export interface LocalUploadOptions {
  key: string;
  create(): Promise<LocalTempFile>;
  explain(error: unknown): BlockferryError;
}

interface OpenFiles {
  temp: LocalTempFile;
  direct: FileHandle | undefined;
}

/**
 * Writes parts with `O_DIRECT`, past the page cache. File system and buffer must allow it. Packs are written
 * once and not read soon, and to copy them through the cache takes as long as to hash them. Unaligned bytes,
 * which only occur at the end of the last part, go through an ordinary descriptor.
 */
export class LocalUpload implements Upload {
  private readonly files: Promise<OpenFiles>;
  private readonly parts: Promise<void>[] = [];
  private offset = 0;

  constructor(private readonly options: LocalUploadOptions) {
    this.files = this.open();
    this.files.catch(() => undefined);
  }

  write(part: Buffer): Promise<void> {
    const written = this.writeAt(part, this.offset);
    this.offset += part.length;
    this.parts.push(written);
    return written;
  }

  async finish(tail: Buffer): Promise<void> {
    this.write(tail).catch(() => undefined);
    await Promise.all(this.parts);
    try {
      const { temp, direct } = await this.files;
      await direct?.close();
      await temp.publish(this.options.key, rename);
      await temp.close();
    } catch (error) {
      throw this.options.explain(error);
    }
  }

  async abort(): Promise<void> {
    const files = await this.files.catch(() => undefined);
    await files?.direct?.close().catch(() => undefined);
    await files?.temp.close();
  }

  private async writeAt(part: Buffer, offset: number): Promise<void> {
    try {
      const { temp, direct } = await this.files;
      const aligned = direct === undefined ? 0 : part.length - (part.length % DIRECT_ALIGNMENT_BYTES);
      const written = direct === undefined ? 0 : await writeDirect(direct, part.subarray(0, aligned), offset);
      await writeFully(temp.file, part.subarray(written), offset + written);
    } catch (error) {
      throw this.options.explain(error);
    }
  }

  /** Opens the file twice. The second descriptor belongs to the same file, even if its name has changed. */
  private async open(): Promise<OpenFiles> {
    const temp = await this.options.create();
    try {
      const flags = constants.O_WRONLY | constants.O_DIRECT;
      return { temp, direct: await open(`/proc/self/fd/${temp.file.fd}`, flags) };
    } catch (error) {
      if (systemErrorCode(error) === "EINVAL") return { temp, direct: undefined };
      await temp.close();
      throw error;
    }
  }
}

/**
 * Writes with `O_DIRECT`.
 * @returns the bytes written: 0 if the file system takes no direct write from this buffer
 */
async function writeDirect(file: FileHandle, bytes: Buffer, offset: number): Promise<number> {
  try {
    await writeFully(file, bytes, offset);
    return bytes.length;
  } catch (error) {
    if (systemErrorCode(error) === "EINVAL") return 0;
    throw error;
  }
}

async function writeFully(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
