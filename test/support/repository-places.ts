import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { filesBelow, initPlain } from "./repositories.js";
import { S3Objects } from "./s3-objects.js";
import { BUCKET, datesUploads, type S3Server } from "./s3-server.js";

/** A place for repositories under test. Reads their objects without blockferry's own code. */
export interface RepositoryPlace {
  name: string;
  /** Makes a repository. */
  init(repo: string): Promise<void>;
  /** Returns the value of `--repo` for a repository of this name, which may contain slashes. */
  repo(name: string): string;
  /** Returns the keys of all objects below `prefix` of a repository, sorted. */
  keys(name: string, prefix: string): Promise<string[]>;
  get(name: string, key: string): Promise<Buffer>;
  put(name: string, key: string, body: Buffer): Promise<void>;
  remove(name: string, key: string): Promise<void>;
  /** Whether the storage reports the true start time of an upload. */
  datesUploads: boolean;
  /** Returns the remains of unfinished uploads. */
  leftovers(name: string): Promise<string[]>;
}

/** Returns a place in directories. @param kind how its repositories are made and named */
export function directoryPlace(
  folder: string,
  kind: Pick<RepositoryPlace, "name" | "init"> = { name: "a local directory", init: initPlain },
): RepositoryPlace {
  return {
    ...kind,
    repo: (name) => join(folder, name),
    keys: async (name, prefix) => {
      const root = join(folder, name);
      return (await filesBelow(join(root, prefix))).map((path) => path.slice(root.length + 1)).sort();
    },
    get: (name, key) => readFile(join(folder, name, key)),
    put: async (name, key, body) => {
      await mkdir(dirname(join(folder, name, key)), { recursive: true });
      await writeFile(join(folder, name, key), body);
    },
    remove: (name, key) => rm(join(folder, name, key)),
    datesUploads: true,
    leftovers: (name) => readdir(join(folder, name, "tmp")),
  };
}

export function s3Place({ name: server, endpointUrl }: S3Server): RepositoryPlace {
  const objects = new S3Objects(endpointUrl);
  return {
    ...{ name: server, init: initPlain },
    repo: (name) => `s3://${BUCKET}/${name}`,
    keys: async (name, prefix) => {
      const root = `${name}/`;
      return (await objects.keys(root + prefix)).map((key) => key.slice(root.length));
    },
    get: (name, key) => objects.get(`${name}/${key}`),
    put: (name, key, body) => objects.put(`${name}/${key}`, body),
    remove: (name, key) => objects.remove(`${name}/${key}`),
    datesUploads: datesUploads(server),
    leftovers: async (name) => [
      ...(await objects.uploads(`${name}/`)),
      ...(await objects.keys(`${name}/tmp/`)),
    ],
  };
}
