import { isUtf8 } from "node:buffer";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, readlink, rename, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { systemErrorCode } from "./errors.js";
import { shellBytes } from "./shell.js";

/**
 * Opens a folder only to reach its entries, without the right to list it (open(2)). Node has no constant for
 * the flag.
 */
const O_PATH = 0o10000000;
/** The number of links that Linux follows (path_resolution(7)). */
const MAX_LINKS = 40;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** A path that must not be used, whatever rights this process has. */
export class RefusedPath extends Error {}

/**
 * A name in a folder that is held open. A user with write access to the folders of a path can swap one of
 * them, or the file, for a symbolic link between two system calls. All operations on a held place happen in
 * the folder that was found first, and follow no link.
 */
export class HeldPlace {
  private constructor(
    /** Absolute and without symbolic links: for messages and comparisons, not for opening. */
    readonly path: string,
    readonly name: string,
    private readonly folder: Folder,
  ) {}

  /**
   * Finds the folder of a path and holds it open. The file itself need not exist. A symbolic link is followed
   * only if no other user can have created it.
   * @param follow which links to follow: `folders` does not follow a link that is the last part of the path
   * @throws RefusedPath for any other link, for `/`, and for a path that ends in `..`; a system error when a
   * folder is missing
   */
  static async hold(path: string, follow: "all" | "folders" = "all"): Promise<HeldPlace> {
    const folders = [await openFolder("/", "/", undefined)];
    const rest = partsOf(isAbsolute(path) ? path : join(process.cwd(), path));
    try {
      for (let links = 0; ; ) {
        const folder = folders.at(-1) as Folder;
        const part = rest.shift();
        if (part === undefined) throw new RefusedPath("it is a folder");
        if (part === "..") {
          if (folders.length > 1) await folders.pop()?.handle.close();
          continue;
        }
        const isLast = rest.length === 0;
        const link = isLast && follow === "folders" ? undefined : await linkAt(folder, part);
        if (link !== undefined) {
          if (++links > MAX_LINKS) throw new RefusedPath("too many symbolic links");
          if (isAbsolute(link)) await Promise.all(folders.splice(1).map(({ handle }) => handle.close()));
          rest.unshift(...partsOf(link));
        } else if (!isLast) {
          folders.push(await openFolder(reach(folder, part), join(folder.path, part), folder));
        } else {
          return new HeldPlace(join(folder.path, part), part, folders.pop() as Folder);
        }
      }
    } finally {
      await Promise.all(folders.map(({ handle }) => handle.close()));
    }
  }

  /** Returns the status of the entry itself, not of a link's target; undefined without an entry. */
  async status(name = this.name): Promise<Stats | undefined> {
    return this.run(async () => {
      try {
        return await lstat(reach(this.folder, name));
      } catch (error) {
        if (systemErrorCode(error) === "ENOENT") return undefined;
        throw error;
      }
    });
  }

  /**
   * Opens the file without following a link. Does not wait for the other end of a pipe.
   * @param flags as in open(2)
   */
  async open(flags: number): Promise<FileHandle> {
    const noWait = constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return this.run(() => open(reach(this.folder, this.name), flags | noWait));
  }

  /**
   * Creates a file for reading and writing, with this mode, regardless of the umask.
   * @param flags of open(2) to add
   * @throws EEXIST when the name is taken, also by a link without a target
   */
  async create(name: string, mode: number, flags = 0): Promise<FileHandle> {
    const exclusive = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const file = await this.run(() => open(reach(this.folder, name), exclusive | flags, mode));
    try {
      // Adds only the bits that the umask removed: file systems without modes refuse every change.
      if ((mode & ~(await file.stat()).mode) !== 0) await file.chmod(mode);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Returns whether a name in the folder belongs to an open file. */
  async isNameOf(name: string, file: FileHandle): Promise<boolean> {
    const bigint = true;
    const opened = await file.stat({ bigint });
    const named = await lstat(reach(this.folder, name), { bigint }).catch(() => undefined);
    return named?.dev === opened.dev && named.ino === opened.ino;
  }

  /** Renames an entry and replaces any entry with the new name. */
  async rename(from: string, to: string): Promise<void> {
    await this.run(() => rename(reach(this.folder, from), reach(this.folder, to)));
  }

  async remove(name: string): Promise<void> {
    await this.run(() => rm(reach(this.folder, name), { force: true }));
  }

  /** Returns all names in the folder. */
  async names(): Promise<string[]> {
    return this.run(() => readdir(reach(this.folder, ".")));
  }

  /** Makes the names in the folder durable. */
  async sync(): Promise<void> {
    await this.run(() => syncFolder(reach(this.folder, ".")));
  }

  async close(): Promise<void> {
    await this.folder.handle.close();
  }

  /** Runs an operation; its errors show the real path of the folder instead of /proc/self/fd. */
  private async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw named(error, this.folder);
    }
  }
}

/** Holds the place of a path while `use` runs. @throws the errors of `HeldPlace.hold` and `use` */
export async function atPlace<T>(path: string, use: (place: HeldPlace) => Promise<T>): Promise<T> {
  const place = await HeldPlace.hold(path);
  try {
    return await use(place);
  } finally {
    await place.close();
  }
}

interface Folder {
  handle: FileHandle;
  path: string;
  stats: Stats;
  /** Whether no other user than root can change the folder, or put another one in its place. */
  isOurs: boolean;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** Returns a path to an entry of the folder, even after the folder has been moved (proc_pid_fd(5)). */
function reach({ handle }: Folder, name: string): string {
  return `/proc/self/fd/${handle.fd}/${name}`;
}

async function openFolder(place: string, path: string, parent: Folder | undefined): Promise<Folder> {
  const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const handle = await open(place, flags).catch((error: unknown) => {
    throw parent === undefined ? error : named(error, parent);
  });
  const stats = await handle.stat();
  const isOurs = ownedByUs(stats) && (parent === undefined || cannotBeSwapped(parent, stats));
  return { handle, path, stats, isOurs };
}

/**
 * Returns the target of a symbolic link; undefined without a link.
 * @throws RefusedPath for a link that another user can have created
 */
async function linkAt(folder: Folder, name: string): Promise<string | undefined> {
  try {
    const stats = await lstat(reach(folder, name));
    if (!stats.isSymbolicLink()) return undefined;
    if (!cannotBeSwapped(folder, stats)) throw unsafeLink(folder, name);
    const target = await readlink(reach(folder, name), "buffer");
    if (isUtf8(target)) return target.toString();
    throw new RefusedPath(
      `${join(folder.path, name)} is a symbolic link to ${shellBytes(target)}, a name that is not UTF-8`,
    );
  } catch (error) {
    // EINVAL: a file has replaced the link in the meantime.
    if (["ENOENT", "EINVAL"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw named(error, folder);
  }
}

/**
 * Returns whether only this user or root can replace the entry. In a sticky folder such as /tmp, which all
 * users can write to, only its owner can.
 */
function cannotBeSwapped(folder: Folder, entry: Stats): boolean {
  if (!folder.isOurs) return false;
  if ((folder.stats.mode & WRITABLE_BY_OTHERS) === 0) return true;
  return (folder.stats.mode & STICKY) !== 0 && ownedByUs(entry);
}

function ownedByUs({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function unsafeLink({ path }: Folder, name: string): RefusedPath {
  return new RefusedPath(
    `${join(path, name)} is a symbolic link in a folder that other users can change; name the place that it leads to instead`,
  );
}

function named(error: unknown, folder: Folder): unknown {
  if (error instanceof Error)
    error.message = error.message.replaceAll(reach(folder, ""), join(folder.path, "/"));
  return error;
}

/**
 * Makes the names in a folder durable. Only then does a rename survive a power failure (fsync(2), NOTES).
 * @param sync how the open folder is synced
 */
export async function syncFolder(path: string, sync = (folder: FileHandle) => folder.sync()): Promise<void> {
  const folder = await open(path, "r");
  try {
    await sync(folder);
  } finally {
    await folder.close();
  }
}

/**
 * Creates a folder and its missing parents. Errors keep the code from the kernel: Node's own recursive mkdir
 * reports a full disk as ENOENT.
 * @returns the folders that were created, the outermost first
 */
export async function makeFolders(path: string, mode: number): Promise<string[]> {
  try {
    await mkdir(path, { mode });
    return [path];
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return [];
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const parents = await makeFolders(dirname(path), mode);
  return [...parents, ...(await makeFolders(path, mode))];
}

/**
 * Modes of files and folders that blockferry creates. A disk image contains the files of all users of the
 * disk. So only its owner may read a backup or a restored image, regardless of the umask. A replaced file keeps
 * its own mode.
 */
export const PRIVATE_FILE_MODE = 0o600;
export const PRIVATE_FOLDER_MODE = 0o700;
