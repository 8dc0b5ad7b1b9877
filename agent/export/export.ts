import { type FileHandle, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../../foundation/errors.js";
import { HeldPlace, PRIVATE_FILE_MODE } from "../../foundation/held-place.js";
import { PendingFile } from "../../foundation/write-file.js";
import { newPartialName } from "../../native-free-io/block-target.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";
import { serveVolume } from "../nbd/server.js";
import { Counters, type RunWatcher } from "../threads/shared-memory.js";
import { convertImage, type ImageFormat } from "./qemu-img.js";

/** qemu-img reads each chunk once, so this need only hold the chunks of concurrent reads. */
const CACHE_BYTES = 64 * 1024 * 1024;

interface ExportOptions {
  point: RecoveryPoint;
  volume: RecoveryPointVolume;
  /** Path of a file that does not exist yet. */
  target: string;
  format: ImageFormat;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Writes a volume to a new disk image.
 * The volume is served to `qemu-img convert` on a socket that no other user can access. The caller holds a
 * lease on the repository.
 * @returns the bytes that the image takes on disk
 * @throws ChunkMissing before anything is written, ChunkCorrupt, TargetNotEmpty, TargetNotUsable,
 * ExportFailed, Interrupted; no file is left behind
 */
export async function exportVolume(repository: Repository, options: ExportOptions): Promise<number> {
  const { target, volume, format, watcher, signal } = options;
  const counters = Counters.create(1);
  return writeNewFile(target, (image) =>
    withPrivateSocket((path) =>
      serveProven(repository, options, path, async (source) => {
        watcher.start({ label: "Exporting", totalBytes: volume.sizeBytes, totals: () => counters.totals() });
        const row = counters.row(0);
        let done = 0;
        const onProgress = (share: number) => {
          row.add("doneBytes", share * volume.sizeBytes - done);
          done = share * volume.sizeBytes;
        };
        try {
          await convertImage({ source, image, target, format, onProgress, signal });
        } finally {
          watcher.stop();
        }
        // qemu-img counts in sectors of 512 bytes and pads the last one.
        if (format === "raw") await image.truncate(volume.sizeBytes);
      }),
    ),
  );
}

/**
 * Serves the volume while `use` runs.
 * @throws the error of an unreadable chunk, in place of any error of `use`
 */
async function serveProven(
  repository: Repository,
  { point, volume, watcher, signal }: ExportOptions,
  path: string,
  use: (uri: string) => Promise<void>,
): Promise<void> {
  let unreadable: BlockferryError | undefined;
  await serveVolume(
    repository,
    {
      ...{ point, volume, signal, cacheBytes: CACHE_BYTES, address: { kind: "unix", path } },
      onMissing: (error) => {
        throw error;
      },
      onFalseSegment: ({ message, remedy }) => watcher.notice(`${message} ${remedy}`),
      onUnreadable: (error) => {
        unreadable ??= error;
      },
    },
    (uri) =>
      use(uri).catch((error: unknown) => {
        throw unreadable ?? error;
      }),
  );
}

/** Runs `use` with a socket path in a folder that only its owner can enter. */
async function withPrivateSocket(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-export-"));
  try {
    await use(join(folder, "nbd.sock"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Creates a file that appears under its name only once complete.
 * It is on disk by then. An existing file is never replaced, and nothing stays behind if `write` fails.
 * @param write fills the given file, which is open and empty
 * @returns the bytes that it takes on disk
 * @throws TargetNotEmpty, TargetNotUsable, and the errors of `write`
 */
async function writeNewFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<number> {
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
    message: `${path} already exists.`,
    remedy: "Give a path that does not exist yet; an export replaces nothing.",
    object: path,
  });
}

function notUsable(path: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const reason = systemErrorMessage(cause);
  return new BlockferryError(
    {
      code: "TargetNotUsable",
      message: `Cannot create a file at ${path}: ${reason}.`,
      remedy: "Give a path in a folder that this user may write.",
      object: path,
    },
    cause,
  );
}
