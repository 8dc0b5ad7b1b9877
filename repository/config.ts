import { randomUUID } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { CHUNK_BYTES } from "./chunk-id.js";
import { sealJson, unsealJson } from "./sealed-json.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import type { Storage } from "./storage/storage.js";

export const CONFIG_KEY = "config.json";

const ConfigSchema = z.strictObject({
  format: z.literal("blockferry-repository"),
  version: z.literal(1),
  id: z.uuid(),
  chunkBytes: z.literal(CHUNK_BYTES),
  encryption: z.strictObject({ mode: z.literal("none") }),
  createdAt: z.iso.datetime(),
});

/** What holds for a whole repository; written once, when it is made. */
export type RepositoryConfig = z.infer<typeof ConfigSchema>;

/** Tries the storage before it writes: an old config must not fall victim to a server that replaces objects. @throws RepositoryExists, ConditionalWritesUnsupported */
export async function createConfig(storage: Storage): Promise<RepositoryConfig> {
  const config: RepositoryConfig = {
    format: "blockferry-repository",
    version: 1,
    id: randomUUID(),
    chunkBytes: CHUNK_BYTES,
    encryption: { mode: "none" },
    createdAt: new Date().toISOString(),
  };
  await storage.proveWriteOnce();
  try {
    await storage.put(CONFIG_KEY, sealJson(config), { ifNoneMatch: "*" });
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectExists") throw alreadyThere(storage, error);
    throw error;
  }
  return config;
}

/** @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt */
export async function readConfig(storage: Storage): Promise<RepositoryConfig> {
  try {
    return await againIfDamaged(async () =>
      unsealJson(await storage.get(CONFIG_KEY), ConfigSchema, CONFIG_KEY),
    );
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectNotFound") throw notFound(storage, error);
    throw error;
  }
}

function alreadyThere(storage: Storage, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "RepositoryExists",
      message: `${storage.name} already is a repository.`,
      remedy: "Use it as it is, or choose another place for a new one.",
      object: CONFIG_KEY,
    },
    cause,
  );
}

function notFound(storage: Storage, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "RepositoryNotFound",
      message: `${storage.name} is not a repository: it has no ${CONFIG_KEY}.`,
      remedy: `Check the path, or make a new repository there: blockferry-agent init --repo ${storage.name}`,
      object: CONFIG_KEY,
    },
    cause,
  );
}
