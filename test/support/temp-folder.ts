import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A folder of its own for a test or a suite, on a real disk, removed when that ends. */
export function tempFolder(): Promise<string> {
  return folderIn(tmpdir());
}

/** The same on tmpfs, which takes files of many TiB where ext4 does not. */
export function memoryFolder(): Promise<string> {
  return folderIn("/dev/shm");
}

async function folderIn(parent: string): Promise<string> {
  const folder = await mkdtemp(join(parent, "blockferry-test-"));
  after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
