import { randomBytes } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { canonicalPath } from "./canonical-path.js";
import { createFile } from "./create-file.js";
import { PRIVATE_FILE_MODE } from "./private-modes.js";
import { statIfThere } from "./stat-if-there.js";

/**
 * Writes a file as a whole: nobody reads half of it, and the one before stays until the new one is complete. A symbolic link
 * stays, too: what it leads to is replaced.
 * @param newMode of a file that was not there before, whatever the umask; one that is replaced keeps its own
 */
export async function replaceFile(path: string, text: string, newMode: number): Promise<void> {
  const file = await canonicalPath(path);
  const temp = tempName(file);
  try {
    const before = await statIfThere(file);
    await writeNew(temp, text, before === undefined ? newMode : before.mode & 0o777);
    await rename(temp, file);
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
}

/** Finds out whether `replaceFile` could write there, and leaves nothing behind. @throws why not */
export async function tryReplacing(path: string): Promise<void> {
  const temp = tempName(await canonicalPath(path));
  await writeNew(temp, "", PRIVATE_FILE_MODE);
  await rm(temp);
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await createFile(path, mode);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

/** A name beside the file, which collectors of `*.prom` and the like pass over. */
function tempName(path: string): string {
  return `${path}.${randomBytes(8).toString("hex")}.tmp`;
}
