import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, rename, unlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type BlockferryError, systemErrorCode } from "../../../foundation/errors.js";
import { PRIVATE_FILE_MODE } from "../../../foundation/held-place.js";
import { isAbandoned } from "../../../foundation/owner-token.js";
import { newTempName, tempNameOwner, type Upload } from "../storage.js";
import { DIRECT_BLOCK_BYTES, LocalFolder, withFolder } from "./local-folder.js";
import type { LocalPlace } from "./local-place.js";

const TEMP_FOLDER = "tmp";
/** Creates a file, and follows no link. */
export const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * An object that is being written below `tmp/`. It gets its final name at the end; its temporary name
 * identifies its owner.
 */
export class LocalTempFile {
  private constructor(
    private readonly place: LocalPlace,
    private readonly folder: LocalFolder,
    private readonly name: string,
    readonly file: FileHandle,
  ) {}

  /** Creates the file. @throws the error of the file system; StorageFailed if `tmp` is a symbolic link */
  static async create(place: LocalPlace): Promise<LocalTempFile> {
    const folder = await LocalFolder.make(place, TEMP_FOLDER);
    try {
      const name = newTempName();
      const file = await open(folder.path(name), NEW_FILE, PRIVATE_FILE_MODE);
      return new LocalTempFile(place, folder, name, file);
    } catch (error) {
      await folder.close();
      throw error;
    }
  }

  /**
   * Makes the content durable, then gives it its key, then makes that name durable.
   * @param move `rename` replaces an object, `link` does not
   */
  async publish(key: string, move: typeof rename): Promise<void> {
    await this.place.sync(this.file, "file");
    const target = await LocalFolder.make(this.place, dirname(key) === "." ? "" : dirname(key));
    try {
      await this.refuseReplaced();
      await move(this.folder.path(this.name), target.path(basename(key)));
      await target.sync();
    } finally {
      await target.close();
    }
  }

  /** Closes the file and removes its temporary name. Never throws: a file that stays is stale later. */
  async close(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await unlink(this.folder.path(this.name)).catch(() => undefined);
    await this.folder.close().catch(() => undefined);
  }

  /**
   * Checks that the name still belongs to the written file: another user may be able to write to the folder.
   */
  private async refuseReplaced(): Promise<void> {
    const [written, named] = [await this.file.stat(), await lstat(this.folder.path(this.name))];
    if (written.dev !== named.dev || written.ino !== named.ino)
      throw new Error(`another file was put in place of ${TEMP_FOLDER}/${this.name}`);
  }
}

/**
 * Removes the temporary files of processes that have ended. A folder without a `config.json` is left alone:
 * it is not a repository. Files with names of another form stay, however old.
 * @returns the number of removed files
 */
export async function removeStaleTempFiles(place: LocalPlace): Promise<number> {
  try {
    if (!(await withFolder(place, "", isRepository))) return 0;
    return await withFolder(place, TEMP_FOLDER, removeStale);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return 0;
    throw error;
  }
}

export async function isRepository(root: LocalFolder): Promise<boolean> {
  return (await lstat(root.path("config.json"))).isFile();
}

async function removeStale(folder: LocalFolder): Promise<number> {
  let removed = 0;
  for (const entry of await readdir(folder.path(), { withFileTypes: true })) {
    const owner = tempNameOwner(entry.name);
    if (owner === undefined || !entry.isFile()) continue;
    const path = folder.path(entry.name);
    if (!(await isAbandoned(path, owner))) continue;
    await unlink(path);
    removed++;
  }
  return removed;
}

interface LocalUploadOptions {
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
      const aligned = direct === undefined ? 0 : part.length - (part.length % DIRECT_BLOCK_BYTES);
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
