import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { usage } from "../../command-line/options.js";
import { atPlace } from "../../foundation/held-place.js";

/**
 * Refuses options that name the same file, by any path: one would overwrite the other's output.
 * @param paths paths by option
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

/**
 * Returns the same identity for every path to a file, through links and mounts, even if it does not exist
 * yet.
 */
async function identityOf(path: string): Promise<string> {
  const place = await atPlace(path, async (held) => held.path).catch(() => resolve(path));
  const inode = await inodeOf(place);
  if (inode !== undefined) return inode;
  const folder = await inodeOf(dirname(place));
  return folder === undefined ? place : `${folder}/${basename(place)}`;
}

/** Returns undefined if the file does not exist or cannot be examined. */
async function inodeOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
