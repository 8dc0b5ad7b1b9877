import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesBelow } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";
import { testRepository } from "./repository-suite.js";

const folder = await tempFolder();

testRepository({
  name: "a local directory",
  repo: (name) => join(folder, name),
  keys: async (name, prefix) => {
    const root = join(folder, name);
    return (await filesBelow(join(root, prefix))).map((path) => path.slice(root.length + 1)).sort();
  },
  get: (name, key) => readFile(join(folder, name, key)),
  put: (name, key, body) => writeFile(join(folder, name, key), body),
  remove: (name, key) => rm(join(folder, name, key)),
  datesUploads: true,
  leftovers: (name) => readdir(join(folder, name, "tmp")),
});
