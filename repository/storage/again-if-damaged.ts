import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";

const DAMAGE: ReadonlySet<ErrorCode> = new Set(["ObjectCorrupt", "PackCorrupt", "ChunkCorrupt"]);

/**
 * Reads and proves data, and tries once more if they are damaged. Bytes can be damaged on their way; only
 * data that are damaged twice are damaged in the storage.
 * @param attempt must read the data again when it is called again
 */
export async function againIfDamaged<T>(attempt: (again: boolean) => T | Promise<T>): Promise<T> {
  try {
    return await attempt(false);
  } catch (error) {
    if (!(error instanceof BlockferryError) || !DAMAGE.has(error.code)) throw error;
    return attempt(true);
  }
}

/** Returns whether an error means that data are lost: damaged in the storage, or gone. */
export function saysLost(error: unknown): boolean {
  return error instanceof BlockferryError && (DAMAGE.has(error.code) || error.code === "ObjectNotFound");
}
