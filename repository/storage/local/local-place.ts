import type { FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../../../foundation/errors.js";
import { syncFolder } from "../../../foundation/held-place.js";
import { syncUnsupported } from "../storage-errors.js";

/** How file systems refuse fsync(2) when they do not have it; EBADF is for descriptors that only read. */
const SYNC_UNSUPPORTED: ReadonlySet<string> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF"]);

/**
 * The guarantee of each sync, the loss that a power failure can cause without it, and the place in the shared
 * memory that records its note.
 */
const SYNCED = {
  file: {
    noted: 0,
    missing: "make the contents of files durable",
    loss: "objects written last could be empty or damaged",
  },
  folder: {
    noted: 1,
    missing: "make names durable",
    loss: "objects written last could be missing",
  },
} as const;

/** The folder of a repository, and the way in which objects in it are made durable. */
export class LocalPlace {
  constructor(
    readonly root: string,
    /** As in the location (storage.ts); without it, a file system that cannot sync is refused. */
    private readonly weakDurability?: SharedArrayBuffer,
  ) {}

  /**
   * Makes the content of a file durable, or the names in a folder (fsync(2), NOTES). With weak durability, a
   * file system without this operation is accepted. Failures of a disk are never accepted.
   * @throws StorageUnsuitable if the file system lacks the operation; otherwise its error
   */
  async sync(handle: FileHandle, what: keyof typeof SYNCED): Promise<void> {
    try {
      await handle.sync();
    } catch (error) {
      const code = systemErrorCode(error) ?? "";
      if (!SYNC_UNSUPPORTED.has(code)) throw error;
      const { missing, loss, noted } = SYNCED[what];
      const lack = `the file system cannot ${missing} (fsync of a ${what}: ${code}): after a power failure, ${loss}`;
      if (this.weakDurability === undefined) throw syncUnsupported(this.root, lack, error);
      if (Atomics.exchange(new Int32Array(this.weakDurability), noted, 1) === 0)
        process.stderr.write(`note: --weak-durability: in ${this.root}, ${lack}.\n`);
    }
  }

  /** Makes the names in any folder durable. @throws the errors of `sync` */
  syncFolder(path: string): Promise<void> {
    return syncFolder(path, (folder) => this.sync(folder, "folder"));
  }
}
