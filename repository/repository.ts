import { createConfig, type RepositoryConfig, readConfig } from "./config.js";
import { openStorage, parseStorageLocation } from "./storage/open-storage.js";
import type { Storage, StorageLocation } from "./storage/storage.js";

/** An open repository: what holds for all of it, and where its bytes are. */
export interface Repository {
  config: RepositoryConfig;
  storage: Storage;
  /** Lets another thread open the same storage. */
  location: StorageLocation;
}

/** @throws RepositoryExists, StorageDenied, StorageFull */
export async function initRepository(repo: string): Promise<Repository> {
  const location = parseStorageLocation(repo);
  const storage = openStorage(location);
  return { config: await createConfig(storage), storage, location };
}

/** @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt, StorageDenied */
export async function openRepository(repo: string): Promise<Repository> {
  const location = parseStorageLocation(repo);
  const storage = openStorage(location);
  return { config: await readConfig(storage), storage, location };
}
