import { randomBytes } from "node:crypto";
import { BlockferryError, systemErrorCode } from "../../../foundation/errors.js";
import { undefinedIfAbsent } from "../read-object.js";
import { newProofName, type Storage } from "../storage.js";
import { fileSystemUnsuitable } from "../storage-errors.js";

/** Larger than the unit in which file systems read ahead and network file systems transfer. */
const PROOF_BYTES = 200_000;

/** How file systems refuse to replace a file. Rights were proven by the first write. */
const RENAME_REFUSED: ReadonlySet<string> = new Set([
  "EPERM",
  "EACCES",
  "EEXIST",
  "EINVAL",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
]);

/**
 * Proves with an object of its own that a file system has the properties that a repository needs: hard links that never
 * replace a file, renames that do, syncs, names kept as written, and listings and reads that show the last
 * write. Removes the object again.
 * @throws StorageUnsuitable with the oddity; StorageFull, StorageDenied, StorageFailed
 */
export async function proveFileSystem(storage: Storage): Promise<void> {
  const key = `tmp/${newProofName()}`;
  const unsuitable = (lack: string, cause?: unknown) => fileSystemUnsuitable(storage.name, lack, cause);
  const proveRead = async (body: Buffer) => {
    const read = await undefinedIfAbsent(() => storage.get(key));
    if (read === undefined) throw unsuitable("a file that was just written is not found");
    if (!read.equals(body)) throw unsuitable("a file is read with other bytes than were just written");
  };
  try {
    const first = randomBytes(PROOF_BYTES);
    await storage.put(key, first, { ifNoneMatch: "*" });
    const found = await alike(storage, key);
    if (found.length === 0) throw unsuitable("a file that was just written is not listed");
    if (!found.includes(key)) throw unsuitable(`it changes names: ${key} is listed as ${found.join(", ")}`);
    await proveRead(first);
    const second = randomBytes(PROOF_BYTES);
    if (await replaces(storage, key, second)) throw unsuitable("a hard link replaces an existing file");
    await proveRead(first);
    await storage.put(key, second).catch((error: unknown) => {
      const code = error instanceof BlockferryError ? (systemErrorCode(error.cause) ?? "") : "";
      if (!RENAME_REFUSED.has(code)) throw error;
      throw unsuitable(`rename cannot replace a file (${code})`, error);
    });
    await proveRead(second);
    await storage.delete([key]);
    if ((await alike(storage, key)).length > 0) throw unsuitable("a removed file is still listed");
  } catch (error) {
    await storage.delete([key]).catch(() => undefined);
    throw error;
  }
}

/** Returns the listed keys that differ from a key at most in the case of letters. */
async function alike(storage: Storage, key: string): Promise<string[]> {
  const isAlike = (listed: string) => listed.toLowerCase() === key.toLowerCase();
  return (await storage.list("tmp/")).map((object) => object.key).filter(isAlike);
}

async function replaces(storage: Storage, key: string, body: Buffer): Promise<boolean> {
  try {
    await storage.put(key, body, { ifNoneMatch: "*" });
    return true;
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "ObjectExists") return false;
    throw error;
  }
}
