import assert from "node:assert/strict";
import { copyFile, rename, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type BackupOptions, backup } from "../../agent/backup/backup.js";
import { initRepository } from "../../repository/open/repository.js";
import { SeededRandom } from "../support/random.js";
import { assertRestores } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;

/** Backs up `image`. Calls `meanwhile` after the sources are open and before they are read. */
async function backUpWhile(repo: string, image: string, meanwhile: () => Promise<void>): Promise<string[]> {
  const repository = await initRepository(repo);
  const beginUploads = repository.storage.beginUploads.bind(repository.storage);
  repository.storage.beginUploads = async () => {
    const session = await beginUploads();
    await meanwhile();
    return session;
  };
  const notices: string[] = [];
  const options: BackupOptions = {
    ...{ devices: [{ path: image, name: undefined }], threads: 2, queueDepth: 4, tags: {} },
    ...{ compression: "lz4", badBlocks: "fail", signal: new AbortController().signal },
    watcher: { start: () => undefined, stop: () => undefined, notice: (text) => notices.push(text) },
  };
  await backup(repository, options);
  return notices;
}

test("an image that is replaced while a backup begins is backed up as it was when it was opened", async () => {
  const folder = await tempFolder();
  const [image, before, after] = [join(folder, "disk.img"), join(folder, "before"), join(folder, "after")];
  await writeFile(image, "");
  await truncate(image, 16 * MIB);
  await copyFile(image, before);
  await writeFile(after, new SeededRandom("replacement").bytes(16 * MIB));
  const notices = await backUpWhile(join(folder, "repo"), image, () => rename(after, image));
  assert.deepEqual(notices, []);
  await assertRestores(join(folder, "repo"), "latest", before, join(folder, "restored"));
});

test("an image that changes meanwhile is backed up with a warning, as it is when it is read", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeFile(image, "");
  await truncate(image, 16 * MIB);
  const notices = await backUpWhile(join(folder, "repo"), image, async () => {
    await writeFile(image, new SeededRandom("rewritten").bytes(16 * MIB));
    await utimes(image, new Date(), new Date(1));
  });
  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? "", /disk\.img was written to while it was read/);
  await assertRestores(join(folder, "repo"), "latest", image, join(folder, "restored"));
});
