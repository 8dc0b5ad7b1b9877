import { resolve } from "node:path";
import { LocalDirectory } from "./local-directory.js";
import type { Storage, StorageLocation } from "./storage.js";

/** What `--repo` names. */
export function parseStorageLocation(repo: string): StorageLocation {
  return { kind: "directory", path: resolve(repo) };
}

export function openStorage(location: StorageLocation): Storage {
  return new LocalDirectory(location.path);
}
