import { open } from "node:fs/promises";
import type { SeededRandom } from "./random.js";

const WRITE_BYTES = 4 * 1024 * 1024;

/** Writes a new file of incompressible bytes. */
export async function writeRandomFile(path: string, sizeBytes: number, random: SeededRandom): Promise<void> {
  const file = await open(path, "w");
  await file.close();
  await overwriteAtRandom(path, 0, sizeBytes, random);
}

/** Overwrites a range of a file with incompressible bytes; the file grows if needed. */
export async function overwriteAtRandom(
  path: string,
  offset: number,
  length: number,
  random: SeededRandom,
): Promise<void> {
  const file = await open(path, "r+");
  try {
    for (let done = 0; done < length; done += WRITE_BYTES) {
      const bytes = random.bytes(Math.min(WRITE_BYTES, length - done));
      await file.write(bytes, 0, bytes.length, offset + done);
    }
  } finally {
    await file.close();
  }
}

/** Makes a new sparse file with `areas` of incompressible bytes and holes between them. */
export async function writeSparseFile(
  path: string,
  sizeBytes: number,
  areas: { offset: number; length: number }[],
  random: SeededRandom,
): Promise<void> {
  const file = await open(path, "w");
  await file.truncate(sizeBytes);
  await file.close();
  for (const { offset, length } of areas) await overwriteAtRandom(path, offset, length, random);
}
