import { BlockferryError, type ErrorCode } from "../../foundation/errors.js";
import type { Storage } from "./storage.js";

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
export function provesLoss(error: unknown): boolean {
  return error instanceof BlockferryError && (DAMAGE.has(error.code) || error.code === "ObjectNotFound");
}

/**
 * Returns whether an object exists, independent of its content. Reads one byte if the object is not
 * encrypted.
 * @throws the errors of `get`
 */
export async function isThere(storage: Storage, key: string): Promise<boolean> {
  const range = { offset: 0, length: 1 };
  return (await undefinedIfAbsent(() => storage.get(key, { range }))) !== undefined;
}

/** Reads an object that may not exist. @returns undefined when `read` throws ObjectNotFound */
export async function undefinedIfAbsent<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectNotFound") return undefined;
    throw error;
  }
}
