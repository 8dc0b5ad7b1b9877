import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { systemErrorCode } from "./blockferry-error.js";

/** @returns undefined where nothing is @throws what `stat` throws besides */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
