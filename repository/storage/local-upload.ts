import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { PRIVATE_FILE_MODE } from "../../foundation/private-modes.js";
import { removeTempFile } from "./local-temp-files.js";
import type { Upload } from "./storage.js";

const DIRECT_ALIGNMENT_BYTES = 4096;

export interface LocalUploadOptions {
  temp: string;
  /** Makes the folder of the temporary file. */
  prepare(): Promise<void>;
  /** Gives the finished file its name. */
  publish(): Promise<void>;
  explain(error: unknown): BlockferryError;
}

/**
 * Writes parts past the page cache (`O_DIRECT`) where file system and buffer allow it: packs are written once and
 * not soon read, and copying them through the cache costs as much time as hashing them. What is not aligned, the
 * tail of the last part, goes through an ordinary descriptor.
 */
export class LocalUpload implements Upload {
  private readonly files: Promise<{ buffered: FileHandle; direct: FileHandle | undefined }>;
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
      const { buffered } = await this.files;
      await buffered.sync();
      await this.close();
      await this.options.publish();
    } catch (error) {
      throw this.options.explain(error);
    }
  }

  async abort(): Promise<void> {
    await this.close().catch(() => undefined);
    await removeTempFile(this.options.temp);
  }

  private async writeAt(part: Buffer, offset: number): Promise<void> {
    try {
      const { buffered, direct } = await this.files;
      const aligned = direct === undefined ? 0 : part.length - (part.length % DIRECT_ALIGNMENT_BYTES);
      const written = direct === undefined ? 0 : await writeDirect(direct, part.subarray(0, aligned), offset);
      await writeFully(buffered, part.subarray(written), offset + written);
    } catch (error) {
      throw this.options.explain(error);
    }
  }

  private async open(): Promise<{ buffered: FileHandle; direct: FileHandle | undefined }> {
    await this.options.prepare();
    const buffered = await open(this.options.temp, "wx", PRIVATE_FILE_MODE);
    try {
      return { buffered, direct: await open(this.options.temp, constants.O_WRONLY | constants.O_DIRECT) };
    } catch (error) {
      if (systemErrorCode(error) === "EINVAL") return { buffered, direct: undefined };
      await buffered.close();
      throw error;
    }
  }

  private async close(): Promise<void> {
    const { buffered, direct } = await this.files;
    await direct?.close();
    await buffered.close();
  }
}

/** @returns the bytes written: 0 where the file system takes no direct write from this buffer */
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
