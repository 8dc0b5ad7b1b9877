import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { isProcessRunning } from "../../foundation/process-running.js";

/** A temporary file of another host cannot be asked for its process; after a week without a change nobody writes it. */
const FOREIGN_STALE_MS = 7 * 24 * 60 * 60 * 1000;

/** The name says whose file it is, so that another process can tell when the owner is gone. */
export function tempFileName(unique: string): string {
  return `${encodeURIComponent(hostname())}@${process.pid}@${unique}`;
}

/** Never fails, so as not to hide why the file is given up; what cannot be removed now is stale later. */
export async function removeTempFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

/** Removes the temporary files of processes that no longer run. */
export async function removeStaleTempFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(ignoreMissing([]))) {
    if (!entry.isFile()) continue;
    const { name } = entry;
    const [host, pid] = name.split("@");
    const stale =
      host === encodeURIComponent(hostname())
        ? !isProcessRunning(Number(pid))
        : await isOld(join(folder, name));
    if (stale) await rm(join(folder, name), { force: true });
  }
}

async function isOld(path: string): Promise<boolean> {
  const stats = await stat(path).catch(ignoreMissing(undefined));
  return stats !== undefined && Date.now() - stats.mtimeMs > FOREIGN_STALE_MS;
}

function ignoreMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (systemErrorCode(error) === "ENOENT") return value;
    throw error;
  };
}
