import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { runTool } from "./run-tool.js";

export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

export async function assertSameContent(actual: string, expected: string): Promise<void> {
  assert.equal(await sha256File(actual), await sha256File(expected), `${actual} differs from ${expected}`);
}

const COMPARE_SPARSE = fileURLToPath(new URL("../../../test/support/compare-sparse.py", import.meta.url));

/** Compares files of many GiB that consist mostly of holes. */
export async function assertSameSparse(actual: string, expected: string): Promise<void> {
  await runTool("python3", COMPARE_SPARSE, actual, expected);
}
