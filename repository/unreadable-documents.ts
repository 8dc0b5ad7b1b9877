import type { BlockferryError } from "../foundation/blockferry-error.js";
import { readPruneDocument } from "./condemnation.js";
import { readLockDocument } from "./lease.js";
import { readOrNote } from "./read-sealed.js";
import { POINT_ID, pointKey, readPoint } from "./recovery-point.js";
import type { Storage } from "./storage/storage.js";

/**
 * Folders of documents, and the reader for each. A reader returns undefined for an object that is not one of
 * its documents.
 */
const READERS = {
  "locks/": readLockDocument,
  "prune/": readPruneDocument,
  "points/": readPointDocument,
} as const;

export type DocumentFolder = keyof typeof READERS;

/** Returns the errors of unusable documents in these folders; each error names one document. */
export async function findUnreadable(
  storage: Storage,
  folders: readonly DocumentFolder[],
): Promise<BlockferryError[]> {
  const unreadable: BlockferryError[] = [];
  for (const folder of folders) {
    for (const { key } of await storage.list(folder))
      await readOrNote(unreadable, async () => READERS[folder](storage, key));
  }
  return unreadable;
}

/** Returns the error of one document. @returns undefined when it is usable or gone */
export async function whyUnreadable(storage: Storage, key: string): Promise<BlockferryError | undefined> {
  const folder = key.slice(0, key.indexOf("/") + 1) as DocumentFolder;
  const unreadable: BlockferryError[] = [];
  await readOrNote(unreadable, async () => READERS[folder](storage, key));
  return unreadable[0];
}

function readPointDocument(storage: Storage, key: string): Promise<unknown> | undefined {
  const id = key.slice("points/".length, -".json".length);
  return POINT_ID.test(id) && pointKey(id) === key ? readPoint(storage, key) : undefined;
}
