import type * as z from "zod/mini";
import { unsealJson } from "./sealed-json.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import { undefinedIfAbsent } from "./storage/if-absent.js";
import type { Storage } from "./storage/storage.js";

/** Reads a sealed document, once more where it comes damaged. @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported */
export function readSealed<T>(storage: Storage, key: string, schema: z.ZodMiniType<T>): Promise<T> {
  return againIfDamaged(async () => unsealJson(await storage.get(key), schema, key));
}

/** The same of one that need not exist. @returns undefined when there is none */
export function readSealedIfThere<T>(
  storage: Storage,
  key: string,
  schema: z.ZodMiniType<T>,
): Promise<T | undefined> {
  return undefinedIfAbsent(() => readSealed(storage, key, schema));
}
