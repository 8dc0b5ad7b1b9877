import { BlockferryError } from "../foundation/blockferry-error.js";
import { CONFIG_KEY, refuseExisting } from "./config.js";
import { isKeyRecordKey, readKeyRecord } from "./encryption/key-record.js";
import type { Storage } from "./storage/storage.js";
import { saysNothing } from "./storage/storage-errors.js";
import { tempNameOwner } from "./storage/temp-name.js";

const NAMED = 5;
/** The number of further objects that are counted without being named: a bucket may hold millions. */
const COUNTED = 1000;

/** The folders that `init` creates before it writes its config. */
const EMPTY_FOLDERS: ReadonlySet<string> = new Set(["tmp/", "keys/"]);

/**
 * Refuses a location for a new repository unless it is empty. The remains of an interrupted `init` are
 * allowed. Otherwise files of other programs would later be taken for blockferry's, and other programs would
 * meet blockferry's files.
 * @param mode keys are remains of an encrypted `init` only: an unencrypted repository must not contain any
 * @throws PlaceNotEmpty, RepositoryExists
 */
export async function refuseForeign(storage: Storage, mode: "plain" | "encrypted"): Promise<void> {
  await refuseExisting(storage);
  const foreign: string[] = [];
  for await (const name of storage.contents()) {
    // Another `init` may write its config at this moment; `createConfig` finds that out.
    if (name === CONFIG_KEY) continue;
    if (!(await isRestOfInit(storage, name, mode))) foreign.push(name);
    if (foreign.length > NAMED + COUNTED) break;
  }
  if (foreign.length > 0) throw placeNotEmpty(storage, foreign);
}

async function isRestOfInit(storage: Storage, name: string, mode: "plain" | "encrypted"): Promise<boolean> {
  if (EMPTY_FOLDERS.has(name)) return true;
  if (name.startsWith("tmp/")) return tempNameOwner(name.slice("tmp/".length)) !== undefined;
  return mode === "encrypted" && isKeyRecordKey(name) && (await isKeyRecord(storage, name));
}

async function isKeyRecord(storage: Storage, key: string): Promise<boolean> {
  try {
    await readKeyRecord(storage, key);
    return true;
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    return false;
  }
}

function placeNotEmpty(storage: Storage, foreign: string[]): BlockferryError {
  const named = foreign.slice(0, NAMED).join(", ");
  const others = foreign.length - NAMED;
  const count = others > COUNTED ? `more than ${COUNTED}` : others;
  const keysAlone = foreign.every((name) => name.startsWith("keys/"));
  return new BlockferryError({
    code: "PlaceNotEmpty",
    message: `${storage.name} is not empty: it holds ${named}${others > 0 ? ` and ${count} more` : ""}.`,
    remedy: keysAlone
      ? "These may be keys of an encrypted repository whose config.json is gone: bring that back from a replica. If an `init --encrypt` was interrupted there, run that again, or choose an empty place."
      : "Choose an empty place for the repository, such as a new folder or prefix below this one.",
    object: foreign[0],
  });
}
