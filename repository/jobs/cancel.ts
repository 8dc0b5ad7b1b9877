import { sealJson } from "../sealed-json.js";
import { undefinedIfAbsent } from "../storage/if-absent.js";
import type { Storage } from "../storage/storage.js";
import { jobKey } from "./job-key.js";

/** Asks the agent to end a job; asking twice is no error. */
export async function requestCancel(storage: Storage, id: string): Promise<void> {
  await storage.put(jobKey(id, "cancel"), sealJson({}));
}

/** Whether somebody asked. That the object exists is enough, whatever is in it. */
export async function isCancelled(storage: Storage, id: string): Promise<boolean> {
  return (await undefinedIfAbsent(() => storage.get(jobKey(id, "cancel")))) !== undefined;
}
