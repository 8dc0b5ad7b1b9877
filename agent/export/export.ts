import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { Counters } from "../counters.js";
import { serveVolume } from "../nbd/serve-volume.js";
import type { RunWatcher } from "../run-watcher.js";
import type { ImageFormat } from "./image-format.js";
import { writeNewFile } from "./new-file.js";
import { convertImage } from "./qemu-img.js";

/** qemu-img reads each chunk once, so this need only hold the chunks of concurrent reads. */
const CACHE_BYTES = 64 * 1024 * 1024;

export interface ExportOptions {
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
