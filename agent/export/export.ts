import { mkdtemp, rm, stat, truncate } from "node:fs/promises";
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

/** qemu-img reads each chunk once: this is for what it reads at the same time. */
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
 * Writes a volume to a new disk image: it is served to `qemu-img convert` on a socket that nobody else may use. The caller
 * holds a lease on the repository.
 * @returns the bytes that the image takes on disk
 * @throws ChunkMissing before anything is written, ChunkCorrupt, TargetNotEmpty, TargetNotUsable, ExportFailed, Interrupted;
 * no file is left behind then
 */
export async function exportVolume(repository: Repository, options: ExportOptions): Promise<number> {
  const { target, volume, format, watcher, signal } = options;
  const counters = Counters.create(1);
  await writeNewFile(target, (partial) =>
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
          await convertImage({ source, target: partial, format, onProgress, signal });
        } finally {
          watcher.stop();
        }
        // qemu-img counts in sectors of 512 bytes and fills the last one up.
        if (format === "raw") await truncate(partial, volume.sizeBytes);
      }),
    ),
  );
  return (await stat(target)).blocks * 512;
}

/** Serves the volume while `use` runs. @throws what could not be read, whatever `use` made of it */
async function serveProven(
  repository: Repository,
  { point, volume, signal }: ExportOptions,
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

/** A path for a socket in a folder that its owner alone may enter. */
async function withPrivateSocket(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-export-"));
  try {
    await use(join(folder, "nbd.sock"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
