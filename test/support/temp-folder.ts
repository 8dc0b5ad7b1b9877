import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** Makes a folder on a real disk. It is removed when the test or suite ends. */
export function tempFolder(): Promise<string> {
  return folderIn(tmpdir());
}

/** Makes a folder on tmpfs, which allows files of many TiB. ext4 does not. */
export function memoryFolder(): Promise<string> {
  return folderIn("/dev/shm");
}

async function folderIn(parent: string): Promise<string> {
  const folder = await mkdtemp(join(parent, "blockferry-test-"));
  after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
