import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";

/** Writes a file as a whole: nobody reads half of it, and the one before stays until the new one is complete. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temp = tempName(path);
  try {
    await writeFile(temp, text, { flag: "wx" });
    await rename(temp, path);
  } catch (error) {
    await rm(temp, { force: true });
    throw error;
  }
}

/** A name beside the file, which collectors of `*.prom` and the like pass over. */
export function tempName(path: string): string {
  return `${path}.${randomBytes(8).toString("hex")}.tmp`;
}
