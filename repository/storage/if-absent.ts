import { BlockferryError } from "../../foundation/blockferry-error.js";

/** Reads an object that need not exist. @returns undefined where `read` finds none */
export async function undefinedIfAbsent<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectNotFound") return undefined;
    throw error;
  }
}
