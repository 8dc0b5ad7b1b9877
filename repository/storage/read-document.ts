import type * as z from "zod/mini";
import { BlockferryError, type ErrorCode } from "../../foundation/errors.js";
import { damagedRemedy } from "../format/object-bounds.js";
import { unsealJson, unsealText } from "../format/sealed-json.js";
import { againIfDamaged, undefinedIfAbsent } from "./read-object.js";
import type { Storage } from "./storage.js";

/**
 * Reads a sealed document, and reads it again if it arrives damaged.
 * @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported
 */
export function readSealed<T>(storage: Storage, key: string, schema: z.ZodMiniType<T>): Promise<T> {
  return againIfDamaged(async () => unsealJson(await storage.get(key), schema, key));
}

/**
 * Reads the exact text of a sealed document's body, which a signature covers.
 * @throws ObjectNotFound, ObjectCorrupt
 */
export function readSealedText(storage: Storage, key: string): Promise<string> {
  return againIfDamaged(async () => unsealText(await storage.get(key), key));
}

/** Reads a sealed document that may not exist, see `readSealed`. @returns undefined without the document */
export function readSealedIfThere<T>(
  storage: Storage,
  key: string,
  schema: z.ZodMiniType<T>,
): Promise<T | undefined> {
  return undefinedIfAbsent(() => readSealed(storage, key, schema));
}

/**
 * Reads a sealed document that contains its own id. The id is used to remove or replace the document.
 * @param keyOf returns the key of the document with that id
 * @throws ObjectCorrupt if the document is stored under another key; the errors of `readSealed`
 */
export async function readNamed<T extends { id: string }>(
  storage: Storage,
  key: string,
  schema: z.ZodMiniType<T>,
  keyOf: (id: string) => string,
): Promise<T> {
  const document = await readSealed(storage, key, schema);
  if (keyOf(document.id) === key) return document;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} holds the document ${JSON.stringify(document.id)}: it was renamed or copied.`,
    remedy: damagedRemedy(key),
    object: key,
    offset: 0,
  });
}

/** Codes of the errors for a document that exists and cannot be used. */
const UNREADABLE: ReadonlySet<ErrorCode> = new Set(["ObjectCorrupt", "RepositoryUnsupported"]);

/**
 * Reads a document that must not stop the run if it is unusable: the caller then treats everything that the
 * document could protect as needed.
 * @param unreadable gets the error
 * @returns undefined when the document is gone or unusable
 * @throws any other error: an outage says nothing about the document
 */
export async function readOrNote<T>(
  unreadable: BlockferryError[],
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await undefinedIfAbsent(read);
  } catch (error) {
    if (!(error instanceof BlockferryError) || !UNREADABLE.has(error.code)) throw error;
    unreadable.push(error);
    return undefined;
  }
}
