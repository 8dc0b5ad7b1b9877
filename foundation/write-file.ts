import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { type HeldPlace, PRIVATE_FILE_MODE, RefusedPath } from "./held-place.js";

/**
 * A new file beside a place; it takes the place's name once it is complete. All writes and changes go through
 * its descriptor, because another user may put a different file under its temporary name.
 */
export class PendingFile {
  private isComplete = false;

  private constructor(
    private readonly place: HeldPlace,
    private readonly name: string,
    readonly handle: FileHandle,
  ) {}

  /**
   * Creates the file in the place's folder.
   * @param name that is not taken yet
   * @param mode applied regardless of the umask
   */
  static async create(place: HeldPlace, name: string, mode: number): Promise<PendingFile> {
    return new PendingFile(place, name, await place.create(name, mode));
  }

  /** The path of the unfinished file, for messages. */
  get path(): string {
    return `${this.place.path.slice(0, -this.place.name.length)}${this.name}`;
  }

  /**
   * Gives the file the place's name and replaces any entry there.
   * @throws RefusedPath when one of the names turns out to belong to another file: the place must not be used
   * then
   */
  async takeName(): Promise<void> {
    await this.assertName(this.name);
    await this.place.rename(this.name, this.place.name);
    await this.assertName(this.place.name);
    this.isComplete = true;
  }

  /**
   * Closes the file, and removes it if it is not complete. If the file has been moved away, it is emptied.
   */
  async close(): Promise<void> {
    try {
      if (this.isComplete || this.handle.fd < 0) return;
      if (await this.place.isNameOf(this.name, this.handle)) await this.place.remove(this.name);
      else await this.handle.truncate(0);
    } finally {
      await this.handle.close();
    }
  }

  private async assertName(name: string): Promise<void> {
    if (await this.place.isNameOf(name, this.handle)) return;
    throw new RefusedPath("something else took the place of the new file; other users can change its folder");
  }
}

/**
 * Replaces a file as a whole: no reader sees half of it, and the old file stays until the new one is durable.
 * The name is durable after `place.sync()`.
 * @param newMode applied regardless of the umask; a replaced file of this user passes on its own mode
 */
export async function replaceFile(place: HeldPlace, text: string, newMode: number): Promise<void> {
  const before = await place.status();
  const isOurs = before?.isFile() && before.uid === process.geteuid?.();
  await withTemp(place, before && isOurs ? before.mode & 0o777 : newMode, async (file) => {
    await file.handle.writeFile(text);
    await file.handle.sync();
    await file.takeName();
  });
}

/** Checks whether `replaceFile` could write there, and leaves nothing behind. @throws the reason if not */
export async function tryReplacing(place: HeldPlace): Promise<void> {
  await withTemp(place, PRIVATE_FILE_MODE, async () => undefined);
}

async function withTemp(
  place: HeldPlace,
  mode: number,
  use: (file: PendingFile) => Promise<void>,
): Promise<void> {
  const file = await PendingFile.create(place, tempName(place), mode);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

/** Returns a name beside the file that collectors of `*.prom` and similar files skip. */
function tempName({ name }: HeldPlace): string {
  return `${name}.${randomBytes(8).toString("hex")}.tmp`;
}

/** A kind of file that this program creates and later overwrites. */
export interface OwnFile {
  /** A noun phrase for messages, as in "the existing file does not hold a web page". */
  what: string;
  /** Matches the first 64 bytes of such a file. */
  beginning: RegExp;
}

const BEGINNING_BYTES = 64;

/**
 * Opens a file of this kind, or an empty file. A mistyped name may belong to a disk image or a device.
 * @param flags of open(2), including read access
 * @returns undefined when the file does not exist
 * @throws RefusedPath for any other file; a system error when the file cannot be opened
 */
export async function openOwnFile(
  place: HeldPlace,
  kind: OwnFile,
  flags = constants.O_RDONLY,
): Promise<FileHandle | undefined> {
  const found = await place.status();
  if (found === undefined) return undefined;
  if (!found.isFile()) throw noRegularFile();
  const file = await place.open(flags);
  try {
    await assertKind(file, kind);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Throws unless the place is free, empty, or a file of this kind. @throws the errors of `openOwnFile` */
export async function refuseForeignFile(place: HeldPlace, kind: OwnFile): Promise<void> {
  await (await openOwnFile(place, kind))?.close();
}

async function assertKind(file: FileHandle, { what, beginning }: OwnFile): Promise<void> {
  const stats = await file.stat();
  if (!stats.isFile()) throw noRegularFile();
  if (stats.size === 0) return;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING_BYTES), 0, BEGINNING_BYTES, 0);
  if (!beginning.test(buffer.toString("latin1", 0, bytesRead)))
    throw new RefusedPath(`the existing file does not hold ${what}`);
}

function noRegularFile(): RefusedPath {
  return new RefusedPath("it is not a regular file");
}
