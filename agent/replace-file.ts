import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { canonicalPath } from "../foundation/canonical-path.js";

/**
 * Writes a file as a whole: nobody reads half of it, and the one before stays until the new one is complete. A symbolic link
 * stays, too: what it leads to is replaced.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const file = await canonicalPath(path);
  const temp = tempName(file);
  try {
    await writeNew(temp, text);
    await rename(temp, file);
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
}

/** Finds out whether `replaceFile` could write there, and leaves nothing behind. @throws why not */
export async function tryReplacing(path: string): Promise<void> {
  const temp = tempName(await canonicalPath(path));
  await writeNew(temp, "");
  await rm(temp);
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, "wx");
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
