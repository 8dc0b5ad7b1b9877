import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Storage } from "./storage.js";

/** Whether an object is there, whatever it holds. What is not encrypted is not read for that. @throws what `get` throws */
export async function isThere(storage: Storage, key: string): Promise<boolean> {
  const range = { offset: 0, length: 1 };
  return (await undefinedIfAbsent(() => storage.get(key, { range }))) !== undefined;
}

/** Reads an object that need not exist. @returns undefined where `read` finds none */
export async function undefinedIfAbsent<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectNotFound") return undefined;
    throw error;
  }
}
