import { randomBytes } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isProcessRunning } from "../foundation/process-running.js";

const SUFFIX = ".blockferry-partial";

/**
 * A name beside `path` for a file that is to become `path` when it is complete. No two writers get the same one. Partial
 * files that killed processes left there are removed.
 */
export async function newPartialPath(path: string): Promise<string> {
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !name.endsWith(SUFFIX)) continue;
    const writer = /^(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length, -SUFFIX.length))?.[1];
    if (writer !== undefined && !isProcessRunning(Number(writer))) {
      await rm(join(dirname(path), name), { force: true });
    }
  }
  return `${path}.${process.pid}-${randomBytes(4).toString("hex")}${SUFFIX}`;
}
