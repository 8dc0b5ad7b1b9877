import { type FileHandle, open } from "node:fs/promises";
import { systemErrorCode } from "../foundation/blockferry-error.js";
import { canonicalPath } from "../foundation/canonical-path.js";
import { createFile } from "../foundation/create-file.js";

/** @param newMode of a file that was not there before, whatever the umask */
export async function appendToFile(path: string, text: string, newMode: number): Promise<void> {
  const file = await openToAppend(await canonicalPath(path), newMode);
  try {
    await file.appendFile(text);
  } finally {
    await file.close();
  }
}

async function openToAppend(path: string, newMode: number): Promise<FileHandle> {
  try {
    return await createFile(path, newMode);
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
    return open(path, "a");
  }
}
