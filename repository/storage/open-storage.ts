import { resolve } from "node:path";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { LocalDirectory } from "./local-directory.js";
import { parseS3Location, type S3Options } from "./s3/s3-location.js";
import type { Storage, StorageLocation } from "./storage.js";

/** What `--repo` names, and how to reach it. @throws Usage */
export function parseStorageLocation(repo: string, s3Options: S3Options = {}): StorageLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repo)?.[1]?.toLowerCase();
  if (scheme === "s3") return parseS3Location(repo, s3Options);
  if (scheme !== undefined) throw unknownScheme(repo, scheme);
  return { kind: "directory", path: resolve(repo) };
}

export async function openStorage(location: StorageLocation): Promise<Storage> {
  if (location.kind === "directory") return new LocalDirectory(location.path);
  const { S3Storage } = await loadS3();
  return S3Storage.open(location);
}

/** Begins to load the code of a storage that is about to be opened. What fails is left to `openStorage`. */
export function preloadStorage(kind: StorageLocation["kind"]): void {
  if (kind === "s3") loadS3().catch(() => undefined);
}

/** The S3 client is loaded only where there is use for it: that takes longer than a small backup. */
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
