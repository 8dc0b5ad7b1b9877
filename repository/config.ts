import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { shellWord } from "../foundation/shell-word.js";
import { CHUNK_BYTES } from "./chunk-id.js";
import {
  FeaturesSchema,
  featuresUnknown,
  READ_FEATURES,
  unknownFeatures,
  WRITE_FEATURES,
} from "./features.js";
import { readSealed } from "./read-sealed.js";
import { parseValue, sealJson } from "./sealed-json.js";
import { isThere } from "./storage/if-absent.js";
import type { Storage } from "./storage/storage.js";

export const CONFIG_KEY = "config.json";

const common = {
  format: z.literal("blockferry-repository"),
  id: z.uuid(),
  chunkBytes: z.literal(CHUNK_BYTES),
  createdAt: z.iso.datetime(),
};

const encryptionFields = {
  mode: z.literal("aes-256-gcm"),
  /** Shows whether a data key belongs to this repository. */
  keyCheck: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
};

/**
 * Version 2 is an encrypted version 1: a program that knows only version 1 must not store plaintext there.
 * Version 3 may be encrypted or not, and lists additional features that a program needs.
 */
const ConfigSchema = z.discriminatedUnion("version", [
  z.strictObject({
    ...common,
    version: z.literal(1),
    encryption: z.strictObject({ mode: z.literal("none") }),
  }),
  z.strictObject({
    ...common,
    version: z.literal(2),
    encryption: z.strictObject(encryptionFields),
  }),
  z.object({
    ...common,
    version: z.literal(3),
    encryption: z.discriminatedUnion("mode", [
      z.object({ mode: z.literal("none") }),
      z.object(encryptionFields),
    ]),
    features: FeaturesSchema,
  }),
]);

/** Checked first, so that the error for a later format names the features that it needs. */
const NeedsSchema = z.object({ version: z.number(), features: z.optional(FeaturesSchema) });

/** Settings of a whole repository, written once at its creation. */
export type RepositoryConfig = z.infer<typeof ConfigSchema>;

/** Returns the config of a new repository. @param keyCheck of the data key, for an encrypted repository */
export function newConfig(id: string, keyCheck?: string): RepositoryConfig {
  const common = { format: "blockferry-repository", id, chunkBytes: CHUNK_BYTES } as const;
  const encryption =
    keyCheck === undefined ? { mode: "none" as const } : { mode: "aes-256-gcm" as const, keyCheck };
  const createdAt = new Date().toISOString();
  return { ...common, version: 3, encryption, features: { read: [], write: [] }, createdAt };
}

/**
 * Writes a config. Tests conditional writes first: a server that replaces objects could destroy an older
 * config.
 * @throws RepositoryExists, ConditionalWritesUnsupported
 */
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

/** Refuses an existing repository before the user is asked for a passphrase. @throws RepositoryExists */
export async function refuseExisting(storage: Storage): Promise<void> {
  if (await isThere(storage, CONFIG_KEY)) throw alreadyThere(storage, undefined);
}

/** Reads the config of a repository. @throws RepositoryNotFound, RepositoryUnsupported, ObjectCorrupt */
export async function readConfig(storage: Storage): Promise<RepositoryConfig> {
  try {
    const body = await readSealed(storage, CONFIG_KEY, z.unknown());
    const { features } = parseValue(body, NeedsSchema, CONFIG_KEY);
    const unknown = unknownFeatures(features?.read ?? [], READ_FEATURES);
    if (unknown.length > 0) throw featuresUnknown(storage.name, "reading", unknown);
    return parseValue(body, ConfigSchema, CONFIG_KEY);
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectNotFound") throw notFound(storage, error);
    throw error;
  }
}

/** Returns the features required for writing that this program does not know. */
export function unknownForWriting(config: RepositoryConfig): string[] {
  return config.version === 3 ? unknownFeatures(config.features.write, WRITE_FEATURES) : [];
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
      remedy: `Check the path, or make a new repository there: blockferry-agent init --repo ${shellWord(storage.name)}`,
      object: CONFIG_KEY,
    },
    cause,
  );
}
