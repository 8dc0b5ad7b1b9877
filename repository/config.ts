import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { CHUNK_BYTES } from "./chunk-id.js";
import { readSealed } from "./read-sealed.js";
import { sealJson } from "./sealed-json.js";
import { isThere } from "./storage/if-absent.js";
import type { Storage } from "./storage/storage.js";

export const CONFIG_KEY = "config.json";

const common = {
  format: z.literal("blockferry-repository"),
  id: z.uuid(),
  chunkBytes: z.literal(CHUNK_BYTES),
  createdAt: z.iso.datetime(),
};

/** Version 2 is version 1, encrypted: whoever knows version 1 alone must not store anything there in the clear. */
const ConfigSchema = z.discriminatedUnion("version", [
  z.strictObject({
    ...common,
    version: z.literal(1),
    encryption: z.strictObject({ mode: z.literal("none") }),
  }),
  z.strictObject({
    ...common,
    version: z.literal(2),
    encryption: z.strictObject({
      mode: z.literal("aes-256-gcm"),
      /** Shows whether a data key is this repository's. */
      keyCheck: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
    }),
  }),
]);

/** What holds for a whole repository; written once, when it is made. */
export type RepositoryConfig = z.infer<typeof ConfigSchema>;

/** @param keyCheck of the data key, where the repository is to be encrypted */
export function newConfig(id: string, keyCheck?: string): RepositoryConfig {
  const common = { format: "blockferry-repository", id, chunkBytes: CHUNK_BYTES } as const;
  const createdAt = new Date().toISOString();
  return keyCheck === undefined
    ? { ...common, version: 1, encryption: { mode: "none" }, createdAt }
    : { ...common, version: 2, encryption: { mode: "aes-256-gcm", keyCheck }, createdAt };
}

/** Tries the storage before it writes: an old config must not fall victim to a server that replaces objects. @throws RepositoryExists, ConditionalWritesUnsupported */
export async function createConfig(storage: Storage, config: RepositoryConfig): Promise<RepositoryConfig> {
  await storage.proveWriteOnce();
  try {
    await storage.put(CONFIG_KEY, sealJson(config), { ifNoneMatch: "*" });
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectExists") throw alreadyThere(storage, error);
    throw error;
  }
  return config;
}

/** Before anybody is asked for a passphrase. @throws RepositoryExists */
export async function refuseExisting(storage: Storage): Promise<void> {
  if (await isThere(storage, CONFIG_KEY)) throw alreadyThere(storage, undefined);
}

/** @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt */
export async function readConfig(storage: Storage): Promise<RepositoryConfig> {
  try {
    return await readSealed(storage, CONFIG_KEY, ConfigSchema);
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
