import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";

const DAMAGE: ReadonlySet<ErrorCode> = new Set(["ObjectCorrupt", "PackCorrupt", "ChunkCorrupt"]);

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

/** Whether an error says that what was read is lost: damaged where it lies, or gone. */
export function saysLost(error: unknown): boolean {
  return error instanceof BlockferryError && (DAMAGE.has(error.code) || error.code === "ObjectNotFound");
}
