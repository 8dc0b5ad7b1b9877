import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { type HeldPlace, RefusedPath } from "./held-place.js";

/** A kind of file that this program creates and later overwrites. */
export interface OwnFile {
  /** A noun for messages, as in "the file that is there holds no web page". */
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
    throw new RefusedPath(`the file that is there holds no ${what}`);
}

function noRegularFile(): RefusedPath {
  return new RefusedPath("what is there is no regular file");
}
