import { randomBytes } from "node:crypto";
import { lstat, open, readdir, statfs, unlink } from "node:fs/promises";
import { systemErrorCode } from "../../../foundation/errors.js";
import { PRIVATE_FILE_MODE } from "../../../foundation/held-place.js";
import { LocalFolder, withFolder } from "./local-folder.js";
import type { LocalPlace } from "./local-place.js";
import { isRepository, NEW_FILE, removeStaleTempFiles } from "./local-upload.js";

const FOLDER = "reserve";
/** A run of `prune` writes about ten documents, and one index segment of up to 16 MiB, before it removes packs. */
const FILES = 24;
const MAX_FILE_BYTES = 1024 * 1024;
/** The reserve takes at most this fraction of a small file system. */
const MAX_SHARE = 1 / 64;
const MIN_FILE_BYTES = 4096;
const BLOCK_BYTES = 4096;
const NAME = /^[0-9]{2}$/;

/**
 * Completes the reserve: files that hold blocks and inodes until `forget` and `prune` need them on a full file
 * system. Their bytes are random, and every block has the number of its file, so that no file system
 * compresses or deduplicates them. Never throws: a file system without room has a smaller reserve.
 */
export async function fillReserve(place: LocalPlace): Promise<void> {
  try {
    if (!(await withFolder(place, "", isRepository))) return;
    const folder = await LocalFolder.make(place, FOLDER);
    try {
      const { blocks, bsize } = await statfs(folder.path());
      const sizeBytes = Math.min(MAX_FILE_BYTES, Math.floor((blocks * bsize * MAX_SHARE) / FILES));
      if (sizeBytes < MIN_FILE_BYTES) return;
      let bytes: Buffer | undefined;
      for (let number = 0; number < FILES; number++) {
        const path = folder.path(String(number).padStart(2, "0"));
        if ((await lstat(path).catch(() => undefined))?.size === sizeBytes) continue;
        bytes ??= randomBytes(sizeBytes);
        for (let at = 0; at + 4 <= sizeBytes; at += BLOCK_BYTES) bytes.writeUInt32LE(number, at);
        await replaceFile(path, bytes);
      }
    } finally {
      await folder.close();
    }
  } catch {
    // The reserve is smaller then.
  }
}

async function replaceFile(path: string, bytes: Buffer): Promise<void> {
  await unlink(path).catch(() => undefined);
  const file = await open(path, NEW_FILE, PRIVATE_FILE_MODE);
  try {
    await file.writeFile(bytes);
  } catch (error) {
    await unlink(path);
    throw error;
  } finally {
    await file.close();
  }
}

/**
 * Frees some space on a full file system: the temporary files of dead processes, otherwise one file of the
 * reserve.
 * @returns whether something was removed
 */
export async function releaseReserve(place: LocalPlace): Promise<boolean> {
  if ((await removeStaleTempFiles(place)) > 0) return true;
  try {
    return await withFolder(place, FOLDER, async (folder) => {
      const name = (await readdir(folder.path())).find((entry) => NAME.test(entry));
      if (name === undefined) return false;
      await unlink(folder.path(name));
      // Journaling file systems reuse freed blocks only after a commit.
      await folder.sync().catch(() => undefined);
      return true;
    });
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}
