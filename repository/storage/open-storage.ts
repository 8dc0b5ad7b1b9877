import { resolve } from "node:path";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { LocalDirectory } from "./local-directory.js";
import type { Storage, StorageLocation } from "./storage.js";

/** What `--repo` names. @throws Usage */
export function parseStorageLocation(repo: string): StorageLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repo)?.[1];
  if (scheme !== undefined) throw unknownScheme(repo, scheme);
  return { kind: "directory", path: resolve(repo) };
}

export function openStorage(location: StorageLocation): Storage {
  return new LocalDirectory(location.path);
}

function unknownScheme(repo: string, scheme: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `${repo} is not a repository: this version knows no ${scheme}:// repositories.`,
    remedy: "Give a local directory; write ./ before one whose name looks like a URL.",
    object: repo,
  });
}
