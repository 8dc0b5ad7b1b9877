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

/** @param repo a location, or the path of a local directory @throws RepositoryExists, StorageDenied, StorageFull */
export async function initRepository(repo: StorageLocation | string): Promise<Repository> {
  const location = typeof repo === "string" ? parseStorageLocation(repo) : repo;
  const storage = await openStorage(location);
  return { config: await createConfig(storage), storage, location };
}

/**
 * @param repo a location, or the path of a local directory
 * @param signal ends the waiting for a storage that does not answer
 * @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt, StorageDenied, Interrupted
 */
export async function openRepository(
  repo: StorageLocation | string,
  signal?: AbortSignal,
): Promise<Repository> {
  const location = typeof repo === "string" ? parseStorageLocation(repo) : repo;
  const storage = await openStorage(location);
  const config = await readConfig(signal === undefined ? storage : storage.until(signal));
  return { config, storage, location };
}
