import { resolve } from "node:path";
import { BlockferryError } from "../../foundation/errors.js";
import type { RepositoryKey } from "../encryption/aes-gcm.js";
import { AesGcmCipher } from "../encryption/aes-gcm-cipher.js";
import { EncryptedStorage } from "../encryption/encrypted-storage.js";
import { LocalDirectory } from "./local/local-directory.js";
import { parseS3Location, type S3Options } from "./s3/s3-location.js";
import type { Storage, StorageLocation } from "./storage.js";

/** Parses `--repo` and the S3 options. @throws Usage */
export function parseStorageLocation(repo: string, s3Options: S3Options = {}): StorageLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repo)?.[1]?.toLowerCase();
  if (scheme === "s3") return parseS3Location(repo, s3Options);
  if (scheme !== undefined) throw unknownScheme(repo, scheme);
  return { kind: "directory", path: resolve(repo) };
}

/** Opens a storage. With the key of an encrypted repository, it encrypts all objects. */
export async function openStorage(location: StorageLocation): Promise<Storage> {
  const storage = await openPlace(location);
  return location.key === undefined ? storage : withKey(storage, location.key);
}

/** Returns the storage of an encrypted repository. */
export function withKey(storage: Storage, key: RepositoryKey): Storage {
  return new EncryptedStorage(storage, new AesGcmCipher(key));
}

async function openPlace(location: StorageLocation): Promise<Storage> {
  if (location.kind === "directory") return new LocalDirectory(location.path, location);
  const { S3Storage } = await loadS3();
  return S3Storage.open(location);
}

/** Starts to load the code of a storage that is about to be opened. `openStorage` reports any error. */
export function preloadStorage(kind: StorageLocation["kind"]): void {
  if (kind === "s3") loadS3().catch(() => undefined);
}

/** Loads the S3 client on first use: that takes longer than a small backup. */
function loadS3() {
  return import("./s3/s3-storage.js");
}

function unknownScheme(repo: string, scheme: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `${repo} is not a repository: there are no ${scheme}:// repositories.`,
    remedy: "Give s3://BUCKET/PREFIX or a local directory; write ./ before one whose name looks like a URL.",
    object: repo,
  });
}
