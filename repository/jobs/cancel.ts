import { sealJson } from "../sealed-json.js";
import { isThere } from "../storage/if-absent.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";

/** Asks the agent to cancel a job. A repeated request is not an error. */
export async function requestCancel(storage: Storage, id: string): Promise<void> {
  await storage.put(jobKey(id, "cancel"), sealJson({}));
}

/** Returns whether the job was cancelled. Only the existence of the object counts, not its content. */
export function isCancelled(storage: Storage, id: string): Promise<boolean> {
  return isThere(storage, jobKey(id, "cancel"));
}
