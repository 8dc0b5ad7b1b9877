import { BlockferryError } from "../../foundation/blockferry-error.js";

const DAMAGE = new Set(["ObjectCorrupt", "PackCorrupt", "ChunkCorrupt"]);

/**
 * Reads and proves something; when what came is damaged, once more: bytes can be damaged on their way, and only what is
 * damaged twice is damaged where it lies.
 * @param attempt must read anew when it is called again
 */
export async function againIfDamaged<T>(attempt: (again: boolean) => T | Promise<T>): Promise<T> {
  try {
    return await attempt(false);
  } catch (error) {
    if (!(error instanceof BlockferryError) || !DAMAGE.has(error.code)) throw error;
    return attempt(true);
  }
}
