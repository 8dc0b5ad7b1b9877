import { readlink, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { systemErrorCode } from "./blockferry-error.js";

/**
 * The path without symbolic links; the file itself need not exist yet, also where a link leads to it.
 * @throws what `realpath` throws where its folder is missing
 */
export async function canonicalPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
  const folder = await realpath(dirname(path));
  const place = join(folder, basename(path));
  const link = await linkAt(place);
  if (link === undefined) return place;
  return canonicalPath(isAbsolute(link) ? link : `${folder}/${link}`);
}

async function linkAt(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // EINVAL: a file that came there meanwhile.
    if (["ENOENT", "EINVAL"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
}
