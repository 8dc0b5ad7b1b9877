import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { usage } from "../../command-line/options.js";
import { canonicalPath } from "../../foundation/canonical-path.js";

/**
 * Refuses options that name one file, by whichever paths: one would take what the other writes.
 * @param paths by option
 * @throws Usage
 */
export async function refuseSameFile(paths: Record<string, string | undefined>): Promise<void> {
  const options = new Map<string, string>();
  for (const [option, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    const file = await identityOf(path);
    const other = options.get(file);
    if (other !== undefined) {
      throw usage(`${other} and ${option} name the same file, ${path}.`, "Give each a file of its own.");
    }
    options.set(file, option);
  }
}

/** The same for every path to a file, also through links and mounts, and also before it is there. */
async function identityOf(path: string): Promise<string> {
  const place = await canonicalPath(path).catch(() => resolve(path));
  const inode = await inodeOf(place);
  if (inode !== undefined) return inode;
  const folder = await inodeOf(dirname(place));
  return folder === undefined ? place : `${folder}/${basename(place)}`;
}

/** Undefined for what is not there, or cannot be looked at. */
async function inodeOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
