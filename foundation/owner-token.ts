import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { systemErrorCode } from "./blockferry-error.js";

/** A process elsewhere cannot be asked for; what nobody has changed for a week, nobody is writing. */
const ABANDONED_AFTER_MS = 7 * 24 * 60 * 60 * 1000;

/** Unique for each host and boot, where host names and numbers of namespaces are not (random(4)). */
const BOOT_ID = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** Where process ids mean the same: a host since its boot, and on it a pid namespace, as containers have their own (pid_namespaces(7)). */
const PLACE = createHash("sha256")
  .update(`${hostname()} ${BOOT_ID} ${readlinkSync("/proc/self/ns/pid")}`)
  .digest("hex")
  .slice(0, 8);

/** Names this process in the name of a temporary file, as `place-pid`, so that others can tell when its owner is gone. */
export const OWNER_TOKEN = `${PLACE}-${process.pid}`;

/** Whether the process that a token names runs; of one elsewhere nobody here can tell. */
export function ownerState(token: string): "running" | "gone" | "elsewhere" {
  const [place, pid] = token.split("-");
  if (place !== PLACE || !/^\d+$/.test(pid ?? "")) return "elsewhere";
  return isProcessRunning(Number(pid)) ? "running" : "gone";
}

/** Whether nobody writes the temporary file any more. @param token the owner's, from the file's name */
export async function isAbandoned(path: string, token: string): Promise<boolean> {
  const state = ownerState(token);
  if (state !== "elsewhere") return state === "gone";
  try {
    return Date.now() - (await stat(path)).mtimeMs > ABANDONED_AFTER_MS;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Whoever owns it: EPERM says that it runs. */
function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH";
  }
}
