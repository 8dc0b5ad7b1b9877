import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, type rename, unlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { isAbandoned } from "../../foundation/owner-token.js";
import { PRIVATE_FILE_MODE } from "../../foundation/private-modes.js";
import { LocalFolder, withFolder } from "./local-folder.js";
import { newTempName, tempNameOwner } from "./temp-name.js";

const TEMP_FOLDER = "tmp";
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * An object that is being written below `tmp/`. It gets its final name at the end; its temporary name
 * identifies its owner.
 */
export class LocalTempFile {
  private constructor(
    private readonly root: string,
    private readonly folder: LocalFolder,
    private readonly name: string,
    readonly file: FileHandle,
  ) {}

  /** Creates the file. @throws the error of the file system; StorageFailed if `tmp` is a symbolic link */
  static async create(root: string): Promise<LocalTempFile> {
    const folder = await LocalFolder.make(root, TEMP_FOLDER);
    try {
      const name = newTempName();
      return new LocalTempFile(
        root,
        folder,
        name,
        await open(folder.path(name), NEW_FILE, PRIVATE_FILE_MODE),
      );
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
    await this.file.sync();
    const target = await LocalFolder.make(this.root, dirname(key) === "." ? "" : dirname(key));
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
export async function removeStaleTempFiles(root: string): Promise<number> {
  try {
    if (!(await withFolder(root, "", isRepository))) return 0;
    return await withFolder(root, TEMP_FOLDER, removeStale);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return 0;
    throw error;
  }
}

async function isRepository(root: LocalFolder): Promise<boolean> {
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
