import assert from "node:assert/strict";
import { open } from "node:fs/promises";

/** Asserts that a range of two files or devices is equal; for ranges of up to a few MiB. */
export async function assertSameArea(
  actual: string,
  expected: string,
  area: { offset: number; length: number },
): Promise<void> {
  const same = (await readArea(actual, area)).equals(await readArea(expected, area));
  assert.ok(same, `${actual} differs from ${expected} in ${area.length} bytes at byte ${area.offset}`);
}

/** Reads a range of a file or device; returns fewer bytes at the end of the file. */
export async function readArea(
  path: string,
  { offset, length }: { offset: number; length: number },
): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
