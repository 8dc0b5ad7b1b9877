import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Storage } from "./storage.js";

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
