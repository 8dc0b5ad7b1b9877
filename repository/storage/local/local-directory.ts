import type { Dirent } from "node:fs";
import { link, lstat, readdir, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { systemErrorCode } from "../../../foundation/errors.js";
import { REPLACEMENT } from "../../../foundation/shell.js";
import { NO_CIPHER } from "../../format/chunk-codec.js";
import { maxObjectBytes } from "../../format/object-bounds.js";
import type {
  DirectoryLocation,
  GetOptions,
  RunAccess,
  Storage,
  StoredObject,
  Upload,
  UploadSession,
} from "../storage.js";
import {
  lockUnsupported,
  objectExists,
  objectIrregular,
  objectNotFound,
  objectTooLarge,
  refuseTooLarge,
  reserveUsedUp,
  storageError,
} from "../storage-errors.js";
import {
  type LocalFolder,
  NotRegular,
  RealFolders,
  readLocalFile,
  symbolicLink,
  withFolder,
} from "./local-folder.js";
import { LocalPlace } from "./local-place.js";
import { proveFileSystem } from "./local-proof.js";
import { fillReserve, releaseReserve } from "./local-reserve.js";
import { LocalTempFile, LocalUpload, removeStaleTempFiles } from "./local-upload.js";

const PART_BYTES = 4 * 1024 * 1024;
const STATS_AT_ONCE = 64;

type LocalOptions = Pick<DirectoryLocation, "weakDurability"> & Pick<RunAccess, "freesSpace">;

/**
 * A repository in a local folder. Every object is written under `tmp/`, synced, given its name and made
 * durable by syncing its folder. So after a crash an object is either complete or does not exist.
 */
export class LocalDirectory implements Storage {
  readonly name: string;
  readonly partBytes = PART_BYTES;
  readonly cipher = NO_CIPHER;
  private readonly place: LocalPlace;
  private readonly realFolders: RealFolders;

  constructor(
    private readonly root: string,
    private readonly options: LocalOptions = {},
  ) {
    this.name = root;
    this.place = new LocalPlace(root, options.weakDurability);
    this.realFolders = new RealFolders(root);
  }

  async put(key: string, body: Uint8Array, options: { ifNoneMatch?: "*" } = {}): Promise<void> {
    refuseTooLarge(this.name, key, body);
    const move = options.ifNoneMatch === "*" ? link : rename;
    try {
      while (!(await this.putIfRoom(key, body, move)));
    } catch (error) {
      throw isTaken(error) ? objectExists(this.name, key, error) : storageError(this.name, key, error);
    }
  }

  /** @returns false if there was no room, but the reserve has made some */
  private async putIfRoom(key: string, body: Uint8Array, move: typeof rename): Promise<boolean> {
    try {
      const temp = await LocalTempFile.create(this.place);
      try {
        await temp.file.writeFile(body);
        await temp.publish(key, move);
        return true;
      } finally {
        await temp.close();
      }
    } catch (error) {
      const isFull = ["ENOSPC", "EDQUOT"].includes(systemErrorCode(error) ?? "");
      if (!isFull || this.options.freesSpace !== true) throw error;
      if (await releaseReserve(this.place)) return false;
      throw reserveUsedUp(this.name, key, error);
    }
  }

  putStream(key: string): Upload {
    return new LocalUpload({
      key,
      create: () => LocalTempFile.create(this.place),
      explain: (error) => storageError(this.name, key, error),
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<Buffer> {
    const refuse = (sizeBytes: number) => {
      if (sizeBytes > maxObjectBytes(key)) throw objectTooLarge(this.name, key, sizeBytes);
    };
    try {
      await this.realFolders.prove(folderOf(key));
      return await readLocalFile(join(this.root, key), options, refuse);
    } catch (error) {
      if (error instanceof NotRegular) throw objectIrregular(this.name, key);
      throw systemErrorCode(error) === "ENOENT"
        ? objectNotFound(this.name, key, error)
        : storageError(this.name, key, error);
    }
  }

  /**
   * Lists regular files only.
   * @throws StorageFailed if a symbolic link leads to a folder: it could hide objects
   */
  async list(prefix: string): Promise<StoredObject[]> {
    try {
      const objects = await withFolder(this.place, prefix, (folder) => this.listFolder(prefix, folder));
      return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return [];
      throw storageError(this.name, prefix, error);
    }
  }

  async isListed(key: string): Promise<boolean> {
    try {
      return await withFolder(this.place, folderOf(key), async (folder) =>
        (await readdir(folder.path())).includes(basename(key)),
      );
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return false;
      throw storageError(this.name, key, error);
    }
  }

  async *contents(): AsyncGenerator<string> {
    try {
      for await (const entry of entriesOf(this.root)) {
        const path = join(entry.parentPath, entry.name);
        const key = relative(this.root, path);
        if (!entry.isDirectory()) yield key;
        else if ((await entriesIn(path, false)).length === 0) yield `${key}/`;
      }
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") throw storageError(this.name, "", error);
    }
  }

  async delete(keys: string[]): Promise<void> {
    const byFolder = new Map<string, string[]>();
    for (const key of keys) {
      const names = byFolder.get(folderOf(key)) ?? [];
      names.push(basename(key));
      byFolder.set(folderOf(key), names);
    }
    for (const [folder, names] of byFolder) {
      try {
        await withFolder(this.place, folder, async (open) => {
          for (const name of names) await removeIfThere(open.path(name));
          await open.sync();
        });
      } catch (error) {
        if (systemErrorCode(error) !== "ENOENT") throw storageError(this.name, folder, error);
      }
    }
  }

  async makeDurable(keys: string[]): Promise<void> {
    for (const folder of new Set(keys.map(folderOf))) {
      try {
        await withFolder(this.place, folder, (open) => open.sync());
        await withFolder(this.place, folderOf(folder), (open) => open.sync());
      } catch (error) {
        throw storageError(this.name, folder, error);
      }
    }
  }

  /** `link` refuses to replace a file: POSIX says so, and `put` reports a file system without it. */
  async proveLockable(): Promise<void> {
    throw lockUnsupported(this.name);
  }

  async lock(): Promise<void> {
    throw lockUnsupported(this.name);
  }

  async lockedUntil(): Promise<Map<string, Date>> {
    return new Map();
  }

  async prove(): Promise<string[]> {
    await proveFileSystem(this);
    return [];
  }

  /** A file system has no outages to wait for. */
  until(): LocalDirectory {
    return this;
  }

  /** Each temporary file names its owner, so `end` only completes the reserve. */
  async beginUploads(): Promise<UploadSession> {
    try {
      const removed = await removeStaleTempFiles(this.place);
      return { removed, end: () => fillReserve(this.place) };
    } catch (error) {
      throw storageError(this.name, "tmp", error);
    }
  }

  close(): void {}

  private async listFolder(prefix: string, folder: LocalFolder): Promise<StoredObject[]> {
    const root = folder.path();
    const keyOf = (path: string) => `${prefix}${path.slice(root.length + 1)}`;
    const paths: string[] = [];
    const objects: StoredObject[] = [];
    for await (const entry of entriesOf(root)) {
      const path = join(entry.parentPath, entry.name);
      // Node cannot open a name that is not UTF-8. It is listed nevertheless, so that it is reported.
      if (entry.name.includes(REPLACEMENT)) objects.push({ key: keyOf(path), sizeBytes: 0 });
      else if (entry.isFile()) paths.push(path);
      else if (entry.isSymbolicLink() && (await leadsToFolder(path)))
        throw symbolicLink(this.name, keyOf(path));
    }
    while (paths.length > 0) {
      const batch = paths.splice(-STATS_AT_ONCE);
      // An object may be removed during the listing; that must not hide the others.
      const found = await Promise.all(batch.map(lstatIfThere));
      for (const [number, path] of batch.entries()) {
        const stats = found[number];
        if (stats?.isFile())
          objects.push({ key: keyOf(path), sizeBytes: stats.size, modifiedAt: stats.mtime });
      }
    }
    return objects;
  }
}

/**
 * Yields every entry below a folder, folders before their contents. A folder that is removed in the meantime
 * counts as empty. Symbolic links below the root are not followed.
 * @throws ENOENT if the root itself does not exist
 */
async function* entriesOf(root: string): AsyncGenerator<Dirent> {
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await entriesIn(folder, folder === root)) {
      yield entry;
      if (entry.isDirectory()) folders.push(join(folder, entry.name));
    }
  }
}

async function entriesIn(folder: string, mustExist: boolean): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" && !mustExist) return [];
    throw error;
  }
}

/** Returns the folder of a key, relative to the repository; empty for the repository itself. */
function folderOf(key: string): string {
  const folder = dirname(key);
  return folder === "." ? "" : folder;
}

/** Returns whether `link` found the key taken. `mkdir` also fails with EEXIST, when a file is in its way. */
function isTaken(error: unknown): boolean {
  return (
    error instanceof Error &&
    "syscall" in error &&
    error.syscall === "link" &&
    systemErrorCode(error) === "EEXIST"
  );
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}

async function lstatIfThere(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function leadsToFolder(link: string): Promise<boolean> {
  return stat(link).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
