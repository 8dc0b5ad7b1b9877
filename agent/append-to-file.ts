import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../foundation/blockferry-error.js";
import { type HeldPlace, RefusedPath } from "../foundation/held-place.js";
import { type OwnFile, openOwnFile } from "../foundation/own-file.js";

/**
 * Appends to a file of a kind, creating it if needed.
 * @param newMode mode of a new file, independent of the umask
 * @throws the errors of `openOwnFile`
 */
export async function appendToFile(
  place: HeldPlace,
  kind: OwnFile,
  text: string,
  newMode: number,
): Promise<void> {
  const file = await openToAppend(place, kind, newMode);
  try {
    // Another user could have linked this name to someone else's empty file.
    if ((await file.stat()).nlink > 1) throw new RefusedPath("the file that is there has other hard links");
    await file.appendFile(text);
  } finally {
    await file.close();
  }
}

async function openToAppend(place: HeldPlace, kind: OwnFile, newMode: number): Promise<FileHandle> {
  for (;;) {
    const file = await openOwnFile(place, kind, constants.O_RDWR | constants.O_APPEND);
    if (file !== undefined) return file;
    try {
      return await place.create(place.name, newMode, constants.O_APPEND);
    } catch (error) {
      // Another run created it meanwhile.
      if (systemErrorCode(error) !== "EEXIST") throw error;
    }
  }
}
