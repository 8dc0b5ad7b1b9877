import { randomBytes } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isAbandoned, OWNER_TOKEN } from "../foundation/owner-token.js";

const SUFFIX = ".blockferry-partial";

/**
 * A name beside `path` for a file that is to become `path` when it is complete. No two writers get the same one. Partial
 * files that killed processes left there are removed.
 */
export async function newPartialPath(path: string): Promise<string> {
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !name.endsWith(SUFFIX)) continue;
    const owner = /^([0-9a-f]{8}-\d+(?:-\d+)?)-[0-9a-f]{8}$/.exec(
      name.slice(prefix.length, -SUFFIX.length),
    )?.[1];
    const partial = join(dirname(path), name);
    if (owner !== undefined && (await isAbandoned(partial, owner))) await rm(partial, { force: true });
  }
  return `${path}.${OWNER_TOKEN}-${randomBytes(4).toString("hex")}${SUFFIX}`;
}
