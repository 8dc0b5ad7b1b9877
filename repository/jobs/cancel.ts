import { sealJson } from "../sealed-json.js";
import { isThere } from "../storage/if-absent.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";

/** Asks the agent to end a job; asking twice is no error. */
export async function requestCancel(storage: Storage, id: string): Promise<void> {
  await storage.put(jobKey(id, "cancel"), sealJson({}));
}

/** Whether somebody asked. That the object exists is enough, whatever is in it. */
export function isCancelled(storage: Storage, id: string): Promise<boolean> {
  return isThere(storage, jobKey(id, "cancel"));
}
