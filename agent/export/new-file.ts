import type { FileHandle } from "node:fs/promises";
import { BlockferryError, systemErrorCode } from "../../foundation/blockferry-error.js";
import { HeldPlace } from "../../foundation/held-place.js";
import { PendingFile } from "../../foundation/pending-file.js";
import { PRIVATE_FILE_MODE } from "../../foundation/private-modes.js";
import { newPartialName } from "../../native-free-io/partial-file.js";

/**
 * Creates a file that appears under its name only once complete.
 * It is on disk by then. An existing file is never replaced, and nothing stays behind if `write` fails.
 * @param write fills the given file, which is open and empty
 * @returns the bytes that it takes on disk
 * @throws TargetNotEmpty, TargetNotUsable, and the errors of `write`
 */
export async function writeNewFile(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<number> {
  const place = await HeldPlace.hold(path, "folders").catch((error: unknown) => {
    throw notUsable(path, error);
  });
  try {
    const file = await createPartial(place);
    try {
      await write(file.handle);
      await takeName(file, place);
      return (await file.handle.stat()).blocks * 512;
    } finally {
      await file.close();
    }
  } finally {
    await place.close();
  }
}

async function createPartial(place: HeldPlace): Promise<PendingFile> {
  try {
    if ((await place.status()) !== undefined) throw alreadyThere(place.path);
    return await PendingFile.create(place, await newPartialName(place), PRIVATE_FILE_MODE);
  } catch (error) {
    throw notUsable(place.path, error);
  }
}

/** Claims the name with an empty file first, because a rename would replace a file created meanwhile. */
async function takeName(file: PendingFile, place: HeldPlace): Promise<void> {
  try {
    await file.handle.sync();
    const claim = await PendingFile.create(place, place.name, PRIVATE_FILE_MODE);
    try {
      await file.takeName();
    } finally {
      await claim.close();
    }
    await place.sync();
  } catch (error) {
    throw systemErrorCode(error) === "EEXIST" ? alreadyThere(place.path) : notUsable(place.path, error);
  }
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
  if (cause instanceof BlockferryError) return cause;
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
