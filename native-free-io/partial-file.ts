import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import type { HeldPlace } from "../foundation/held-place.js";
import { isAbandoned, OWNER_TOKEN } from "../foundation/owner-token.js";

const SUFFIX = ".blockferry-partial";

/**
 * Returns a unique temporary name for a file beside its final place. Removes partial files that killed
 * processes left there.
 */
export async function newPartialName(place: HeldPlace): Promise<string> {
  const prefix = `${place.name}.`;
  for (const name of await place.names()) {
    if (!name.startsWith(prefix) || !name.endsWith(SUFFIX)) continue;
    const owner = /^([0-9a-f]{8}-\d+(?:-\d+)?)-[0-9a-f]{8}$/.exec(
      name.slice(prefix.length, -SUFFIX.length),
    )?.[1];
    if (owner === undefined || !(await place.status(name))?.isFile()) continue;
    if (await isAbandoned(join(dirname(place.path), name), owner)) await place.remove(name);
  }
  return `${prefix}${OWNER_TOKEN}-${randomBytes(4).toString("hex")}${SUFFIX}`;
}
