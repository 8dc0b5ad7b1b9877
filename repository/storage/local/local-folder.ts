import { constants, fstatSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { BlockferryError, systemErrorCode } from "../../../foundation/errors.js";
import { makeFolders, PRIVATE_FOLDER_MODE } from "../../../foundation/held-place.js";
import { type GetOptions, READ_SLACK_BYTES } from "../storage.js";
import type { LocalPlace } from "./local-place.js";

/**
 * Folders whose names this process knows to be durable. A folder of another process may not be: that process
 * may have died before it synced the parent.
 */
const durable = new Set<string>();

const OPEN_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY;

/**
 * A folder of a repository, held open. Names in it are resolved below its descriptor, so no one can slip a
 * symbolic link into the path. Only the repository itself may be reached by links: a user who can write to it
 * must not make a program of root write or remove files elsewhere.
 */
export class LocalFolder {
  private constructor(
    private readonly handle: FileHandle,
    private readonly place: LocalPlace,
    /** Relative to the repository; empty for the repository itself. */
    private readonly folder: string,
  ) {}

  /** Opens a folder. @throws ENOENT if it does not exist; StorageFailed if it is a symbolic link */
  static async open(place: LocalPlace, folder: string): Promise<LocalFolder> {
    const names = namesIn(folder);
    const top = await open(place.root, OPEN_FOLDER);
    return new LocalFolder(top, place, "").descend(names, (parent, name) => parent.openChild(name));
  }

  /** Opens a folder, and creates missing folders durably. */
  static async make(place: LocalPlace, folder: string): Promise<LocalFolder> {
    const names = namesIn(folder);
    const top = await openOrMakeRoot(place);
    return new LocalFolder(top, place, "").descend(names, (parent, name) => parent.openOrMakeChild(name));
  }

  /** Returns the path to an entry through this descriptor. @param name left out for the folder itself */
  path(name?: string): string {
    const folder = `/proc/self/fd/${this.handle.fd}`;
    if (name === undefined) return folder;
    refuseNoName(name);
    return `${folder}/${name}`;
  }

  /** Makes the names in it durable. @throws the errors of `LocalPlace.sync` */
  sync(): Promise<void> {
    return this.place.sync(this.handle, "folder");
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  private async descend(
    names: string[],
    next: (parent: LocalFolder, name: string) => Promise<LocalFolder>,
  ): Promise<LocalFolder> {
    let current: LocalFolder = this;
    for (const name of names) {
      const parent = current;
      current = await next(parent, name).finally(() => parent.close());
    }
    return current;
  }

  private async openChild(name: string): Promise<LocalFolder> {
    const child = this.folder === "" ? name : `${this.folder}/${name}`;
    try {
      const handle = await open(this.path(name), OPEN_FOLDER | constants.O_NOFOLLOW);
      return new LocalFolder(handle, this.place, child);
    } catch (error) {
      if (["ENOTDIR", "ELOOP"].includes(systemErrorCode(error) ?? "") && (await this.isLink(name)))
        throw symbolicLink(this.place.root, child);
      throw error;
    }
  }

  private async openOrMakeChild(name: string): Promise<LocalFolder> {
    const child = await this.openChild(name).catch(async (error) => {
      if (systemErrorCode(error) !== "ENOENT") throw error;
      await this.makeChild(name);
      return this.openChild(name);
    });
    try {
      await this.makeNameDurable(child);
      return child;
    } catch (error) {
      await child.close();
      throw error;
    }
  }

  private async makeChild(name: string): Promise<void> {
    try {
      await mkdir(this.path(name), { mode: PRIVATE_FOLDER_MODE });
    } catch (error) {
      // Another process created it first.
      if (systemErrorCode(error) !== "EEXIST") throw error;
    }
  }

  private async makeNameDurable(child: LocalFolder): Promise<void> {
    const { dev, ino } = await child.handle.stat();
    const identity = `${dev} ${ino}`;
    if (durable.has(identity)) return;
    await this.sync();
    durable.add(identity);
  }

  private async isLink(name: string): Promise<boolean> {
    return (await lstat(this.path(name))).isSymbolicLink();
  }
}

/**
 * Opens a folder of the repository for `use`, and closes it.
 * @throws the errors of `LocalFolder.open` and `use`
 */
export async function withFolder<T>(
  place: LocalPlace,
  name: string,
  use: (folder: LocalFolder) => Promise<T>,
): Promise<T> {
  const folder = await LocalFolder.open(place, name);
  try {
    return await use(folder);
  } finally {
    await folder.close();
  }
}

export function symbolicLink(root: string, folder: string): BlockferryError {
  return new BlockferryError({
    code: "StorageFailed",
    message: `${folder} in ${root} is a symbolic link. A repository must contain only real folders.`,
    remedy:
      "Nothing was written or removed there. If the link is yours, replace it with the folder that it leads to, or mount that folder there (`mount --bind`). Otherwise find out who made it, and remove it.",
    object: folder,
  });
}

/** The folders of a repository that were not symbolic links when this process first read from them. */
export class RealFolders {
  private readonly proven = new Set<string>();

  constructor(private readonly root: string) {}

  /**
   * Checks a folder and its parents below the repository, each of them once. A link that is created later
   * matters only for writing and removing, since reads are proven.
   * @throws StorageFailed for a symbolic link; ENOENT
   */
  async prove(folder: string): Promise<void> {
    if (folder === "" || this.proven.has(folder)) return;
    let path = "";
    for (const name of namesIn(folder)) {
      path = path === "" ? name : `${path}/${name}`;
      if (this.proven.has(path)) continue;
      if ((await lstat(`${this.root}/${path}`)).isSymbolicLink()) throw symbolicLink(this.root, path);
      this.proven.add(path);
    }
  }
}

function namesIn(folder: string): string[] {
  const names = folder.split("/").filter((name) => name !== "");
  for (const name of names) refuseNoName(name);
  return names;
}

/** Refuses names that lead out of the folder. Keys come from listings and documents. */
function refuseNoName(name: string): void {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name))
    throw new Error(`"${name}" is not the name of an object`);
}

async function openOrMakeRoot(place: LocalPlace): Promise<FileHandle> {
  try {
    return await open(place.root, OPEN_FOLDER);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
  const made = await makeFolders(place.root, PRIVATE_FOLDER_MODE);
  for (const folder of made) await place.syncFolder(dirname(folder));
  return open(place.root, OPEN_FOLDER);
}

/** Does not follow a symbolic link, and does not wait for the other end of a FIFO. */
const OPEN_OBJECT = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** `O_DIRECT` reads and writes whole blocks of this size in bytes. */
export const DIRECT_BLOCK_BYTES = READ_SLACK_BYTES / 2;

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
    const length = range?.length ?? fstatSync(file.fd).size;
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
  const skip = range.offset % DIRECT_BLOCK_BYTES;
  const blocks = Math.ceil((skip + range.length) / DIRECT_BLOCK_BYTES);
  const window = { offset: range.offset - skip, length: blocks * DIRECT_BLOCK_BYTES };
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
    // An open file's attributes are in memory; to ask for them in another thread takes longer.
    if (!fstatSync(file.fd).isFile()) throw new NotRegular();
    return await use(file);
  } finally {
    await file.close();
  }
}
