import { BlockferryError } from "../../foundation/errors.js";
import { unsealText } from "../format/sealed-json.js";
import { undefinedIfAbsent } from "./read-object.js";
import type { Storage, StoredObject } from "./storage.js";
import { saysNothing } from "./storage-errors.js";

/** The most names in an error, and the most objects that are read to judge them. */
const NAMED = 5;
const JUDGED = 16;

/** Objects in a folder of the repository whose names blockferry never writes. */
export interface UnknownNames {
  error: BlockferryError;
  /** Whether one of them may be a document of the repository under a wrong name. */
  mayBeDocument: boolean;
}

/**
 * Judges objects with unknown names. A file system that folds upper and lower case, or a tool that renames
 * objects, makes documents invisible under such names. Then their absence means nothing.
 * @param keys in one folder of documents
 * @returns undefined without any
 */
export async function judgeNames(storage: Storage, keys: string[]): Promise<UnknownNames | undefined> {
  if (keys.length === 0) return undefined;
  const suspects: string[] = [];
  for (const key of keys.slice(0, JUDGED)) if (await holdsDocument(storage, key)) suspects.push(key);
  const mayBeDocument = suspects.length > 0 || keys.length > JUDGED;
  const suspectsFirst = [...suspects, ...keys.filter((key) => !suspects.includes(key))];
  return { error: nameUnknown(suspectsFirst, mayBeDocument), mayBeDocument };
}

/** @returns true also if the object cannot be read or decrypted: only a plain foreign object is certain */
async function holdsDocument(storage: Storage, key: string): Promise<boolean> {
  try {
    const bytes = await undefinedIfAbsent(() => storage.get(key));
    if (bytes === undefined) return false;
    unsealText(bytes, key);
    return true;
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    // Decryption includes the key: a renamed document cannot be distinguished from a foreign object.
    return storage.cipher.layout.tagBytes > 0;
  }
}

/** Returns the keys of listed objects that are not of a known form. */
export function unknownKeys(objects: StoredObject[], isKnown: (key: string) => boolean): string[] {
  return objects.map(({ key }) => key).filter((key) => !isKnown(key));
}

/** Adds an error to `strange` if a folder has objects with unknown names. They are not read: a pack has no seal. */
export function noteUnknownNames(
  objects: StoredObject[],
  isKnown: (key: string) => boolean,
  strange: BlockferryError[],
): void {
  const keys = unknownKeys(objects, isKnown);
  if (keys.length > 0) strange.push(nameUnknown(keys));
}

/** Returns the error for objects with these keys. */
export function nameUnknown(keys: string[], mayBeDocument = false): BlockferryError {
  const [first = ""] = keys;
  const folder = first.slice(0, first.lastIndexOf("/") + 1);
  const names = keys
    .slice(0, NAMED)
    .map((key) => JSON.stringify(key))
    .join(", ");
  const others = keys.length > NAMED ? `, and ${keys.length - NAMED} more` : "";
  return new BlockferryError({
    code: "NameUnknown",
    message: `${folder} holds objects with names that blockferry never writes: ${names}${others}.`,
    remedy: mayBeDocument
      ? "At least one of them may be a document of this repository under a wrong name, and `prune` removes nothing meanwhile. If a file system or a tool changed the names, give them back. Otherwise find out who put the objects there, and move them out of the repository."
      : "They are left alone. Find out who put them there, and move them out of the repository.",
    object: first,
  });
}
