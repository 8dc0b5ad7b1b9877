import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from "../../foundation/private-modes.js";
import { statIfThere } from "../../foundation/stat-if-there.js";
import { syncFolder } from "../../foundation/sync-folder.js";
import { NO_CIPHER } from "../encryption/no-cipher.js";
import { maxObjectBytes } from "../object-bounds.js";
import { readLocalFile } from "./local-read.js";
import { removeStaleTempFiles, removeTempFile, tempFileName } from "./local-temp-files.js";
import { LocalUpload } from "./local-upload.js";
import type { GetOptions, Storage, StoredObject, Upload, UploadSession } from "./storage.js";
import {
  lockUnsupported,
  objectExists,
  objectNotFound,
  objectTooLarge,
  refuseTooLarge,
  storageError,
} from "./storage-errors.js";

const PART_BYTES = 4 * 1024 * 1024;
const TEMP_FOLDER = "tmp";
const STATS_AT_ONCE = 64;

/**
 * A repository in a local folder. Every object is written under `tmp/`, synced, given its name and made durable by
 * syncing its folder: after a crash an object is there whole or not at all.
 */
export class LocalDirectory implements Storage {
  readonly name: string;
  readonly partBytes = PART_BYTES;
  readonly cipher = NO_CIPHER;
  private readonly knownFolders = new Set<string>();

  constructor(private readonly root: string) {
    this.name = root;
  }

  async put(key: string, body: Uint8Array, options: { ifNoneMatch?: "*" } = {}): Promise<void> {
    refuseTooLarge(this.name, key, body);
    const temp = this.tempPath();
    try {
      await this.ensureFolder(dirname(temp));
      await writeDurably(temp, body);
      await this.publish(temp, key, options.ifNoneMatch === "*" ? link : rename);
    } catch (error) {
      throw isTaken(error) ? objectExists(this.name, key, error) : storageError(this.name, key, error);
    } finally {
      await removeTempFile(temp);
    }
  }

  putStream(key: string): Upload {
    const temp = this.tempPath();
    return new LocalUpload({
      temp,
      prepare: () => this.ensureFolder(dirname(temp)),
      publish: () => this.publish(temp, key, rename),
      explain: (error) => storageError(this.name, key, error),
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<Buffer> {
    const refuse = (sizeBytes: number) => {
      if (sizeBytes > maxObjectBytes(key)) throw objectTooLarge(this.name, key, sizeBytes);
    };
    try {
      return await readLocalFile(join(this.root, key), options, refuse);
    } catch (error) {
      throw systemErrorCode(error) === "ENOENT"
        ? objectNotFound(this.name, key, error)
        : storageError(this.name, key, error);
    }
  }

  async list(prefix: string): Promise<StoredObject[]> {
    try {
      const entries = await readdir(join(this.root, prefix), { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile());
      const objects: StoredObject[] = [];
      while (files.length > 0) {
        const batch = files.splice(-STATS_AT_ONCE).map(({ parentPath, name }) => join(parentPath, name));
        // An object may be removed while it is being listed; that must not hide the others.
        const found = await Promise.all(batch.map(statIfThere));
        for (const [number, stats] of found.entries()) {
          const key = batch[number]?.slice(this.root.length + 1);
          if (key !== undefined && stats !== undefined) objects.push({ key, sizeBytes: stats.size });
        }
      }
      return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return [];
      throw storageError(this.name, prefix, error);
    }
  }

  async delete(keys: string[]): Promise<void> {
    for (const key of keys) {
      try {
        await rm(join(this.root, key), { force: true });
      } catch (error) {
        throw storageError(this.name, key, error);
      }
    }
    for (const folder of new Set(keys.map((key) => dirname(join(this.root, key))))) {
      try {
        await syncFolder(folder);
      } catch (error) {
        if (systemErrorCode(error) !== "ENOENT")
          throw storageError(this.name, relative(this.root, folder), error);
      }
    }
  }

  async makeDurable(keys: string[]): Promise<void> {
    for (const folder of new Set(keys.map((key) => dirname(join(this.root, key))))) {
      try {
        await syncFolder(folder);
        await syncFolder(dirname(folder));
      } catch (error) {
        throw storageError(this.name, relative(this.root, folder), error);
      }
    }
  }

  /** `link` refuses to replace a file: POSIX says so, and `put` reports a file system without it. */
  async proveLockable(): Promise<void> {
    throw lockUnsupported(this.name);
  }

  async lock(): Promise<void> {
    throw lockUnsupported(this.name);
  }

  async lockedUntil(): Promise<Map<string, Date>> {
    return new Map();
  }

  async proveWriteOnce(): Promise<void> {}

  /** Each temporary file names its owner, so there is nothing to end. */
  /** A file system lets nobody wait for an outage to pass. */
  until(): LocalDirectory {
    return this;
  }

  async beginUploads(): Promise<UploadSession> {
    try {
      const removed = await removeStaleTempFiles(join(this.root, TEMP_FOLDER));
      return { removed, end: async () => undefined };
    } catch (error) {
      throw storageError(this.name, TEMP_FOLDER, error);
    }
  }

  private tempPath(): string {
    return join(this.root, TEMP_FOLDER, tempFileName(randomBytes(8).toString("hex")));
  }

  private async publish(temp: string, key: string, move: typeof rename): Promise<void> {
    const path = join(this.root, key);
    await this.ensureFolder(dirname(path));
    await move(temp, path);
    await syncFolder(dirname(path));
  }

  /** Makes a folder below the root, durably, the first time that it is needed. */
  private async ensureFolder(folder: string): Promise<void> {
    if (this.knownFolders.has(folder)) return;
    const firstMade = await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER_MODE });
    if (firstMade !== undefined) {
      for (let made = folder; made.length >= firstMade.length; made = dirname(made)) {
        await syncFolder(dirname(made));
      }
    }
    this.knownFolders.add(folder);
  }
}

/** Whether `link` found the key taken; `mkdir` fails with EEXIST too, where a file stands in its way. */
function isTaken(error: unknown): boolean {
  return (
    error instanceof Error &&
    "syscall" in error &&
    error.syscall === "link" &&
    systemErrorCode(error) === "EEXIST"
  );
}

async function writeDurably(path: string, body: Uint8Array): Promise<void> {
  const file = await open(path, "wx", PRIVATE_FILE_MODE);
  try {
    await file.writeFile(body);
    await file.sync();
  } finally {
    await file.close();
  }
}
