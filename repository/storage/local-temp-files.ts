import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { isAbandoned, OWNER_TOKEN } from "../../foundation/owner-token.js";

/** The name says whose file it is, so that another process can tell when the owner is gone. */
export function tempFileName(unique: string): string {
  return `${OWNER_TOKEN}@${unique}`;
}

/** Never fails, so as not to hide why the file is given up; what cannot be removed now is stale later. */
export async function removeTempFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

/** Removes the temporary files of processes that no longer run. @returns how many */
export async function removeStaleTempFiles(folder: string): Promise<number> {
  let removed = 0;
  for (const entry of await listIfThere(folder)) {
    if (!entry.isFile()) continue;
    const path = join(folder, entry.name);
    const [owner] = entry.name.split("@");
    if (!(await isAbandoned(path, owner ?? ""))) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}

async function listIfThere(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
