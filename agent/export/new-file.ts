import { lstat, open, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { BlockferryError, systemErrorCode } from "../../foundation/blockferry-error.js";
import { PRIVATE_FILE_MODE } from "../../foundation/private-modes.js";
import { syncFolder } from "../../foundation/sync-folder.js";
import { newPartialPath } from "../../native-free-io/partial-file.js";

/**
 * Makes a file that appears under its name only when `write` has made it whole and it is on disk. Whatever has the name
 * already is never replaced, and nothing stays behind when `write` fails.
 * @param write fills the file of the path that it is given, which exists and is empty
 * @throws TargetNotEmpty, TargetNotUsable, and what `write` throws
 */
export async function writeNewFile(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const target = resolve(path);
  const partial = await createPartial(target);
  try {
    await write(partial);
    await syncFile(partial);
    await takeName(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function createPartial(target: string): Promise<string> {
  if (await exists(target)) throw alreadyThere(target);
  try {
    const partial = await newPartialPath(target);
    await createEmpty(partial);
    return partial;
  } catch (error) {
    throw notUsable(target, error);
  }
}

/** A symbolic link that leads nowhere has the name, too. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw notUsable(path, error);
  }
}

async function createEmpty(path: string): Promise<void> {
  const file = await open(path, "wx", PRIVATE_FILE_MODE);
  await file.close();
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Claims the name by an empty file first: a rename replaces whatever somebody may have put there meanwhile. */
async function takeName(partial: string, target: string): Promise<void> {
  try {
    await createEmpty(target);
  } catch (error) {
    throw systemErrorCode(error) === "EEXIST" ? alreadyThere(target) : notUsable(target, error);
  }
  await rename(partial, target);
  await syncFolder(dirname(target));
}

function alreadyThere(path: string): BlockferryError {
  return new BlockferryError({
    code: "TargetNotEmpty",
    message: `${path} exists already.`,
    remedy: "Give a path where nothing is yet; an export replaces nothing.",
    object: path,
  });
}

function notUsable(path: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BlockferryError(
    {
      code: "TargetNotUsable",
      message: `No file can be made at ${path}: ${reason}.`,
      remedy: "Give a path in a folder that this user may write.",
      object: path,
    },
    cause,
  );
}
