import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import {
  CONFIG_KEY,
  ConfigSchema,
  featuresUnknown,
  NeedsSchema,
  READ_FEATURES,
  type RepositoryConfig,
  unknownFeatures,
} from "../format/config.js";
import { parseValue, sealJson } from "../format/sealed-json.js";
import { readSealed } from "../storage/read-document.js";
import { isThere } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";

/**
 * Writes a config. The storage must be proven: a server that replaces objects could destroy an older config.
 * @throws RepositoryExists
 */
export async function createConfig(storage: Storage, config: RepositoryConfig): Promise<RepositoryConfig> {
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

function alreadyThere(storage: Storage, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "RepositoryExists",
      message: `${storage.name} is already a repository.`,
      remedy: "Use it as it is, or choose another location for a new one.",
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
