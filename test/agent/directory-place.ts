import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesBelow } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";
import type { RepositoryPlace } from "./repository-suite.js";

/** Repositories in local directories. */
export async function directoryPlace(name: string, init: RepositoryPlace["init"]): Promise<RepositoryPlace> {
  const folder = await tempFolder();
  return {
    ...{ name, init },
    repo: (repo) => join(folder, repo),
    keys: async (repo, prefix) => {
      const root = join(folder, repo);
      return (await filesBelow(join(root, prefix))).map((path) => path.slice(root.length + 1)).sort();
    },
    get: (repo, key) => readFile(join(folder, repo, key)),
    put: (repo, key, body) => writeFile(join(folder, repo, key), body),
    remove: (repo, key) => rm(join(folder, repo, key)),
    datesUploads: true,
    leftovers: (repo) => readdir(join(folder, repo, "tmp")),
  };
}
