import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A folder of its own for a test or a suite, on a real disk, removed when that ends. */
export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-test-"));
  after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
