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

/**
 * Names this process as `place-pid-start`, in the names of temporary files and the like, so that others can tell when their
 * owner is gone: also when another process has its number by then, which has begun at another moment.
 */
export const OWNER_TOKEN = [PLACE, process.pid, startOf("self", process.pid)]
  .filter((part) => part !== undefined)
  .join("-");

/** Whether the process that a token names runs; of one elsewhere nobody here can tell. */
export function ownerState(token: string): "running" | "gone" | "elsewhere" {
  const [, place, pid, start] = /^([0-9a-f]{8})-(\d+)(?:-(\d+))?$/.exec(token) ?? [];
  if (place !== PLACE) return "elsewhere";
  if (!isProcessRunning(Number(pid))) return "gone";
  const found = startOf(String(pid), Number(pid));
  // What cannot be told, by /proc or by a token of an earlier version, counts for the process.
  return start === undefined || found === undefined || start === found ? "running" : "gone";
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

/**
 * When a process has begun, in clock ticks since the boot: field 22 of its stat, counted behind its name, which may hold anything
 * (proc(5)). @returns undefined when that is not shown, or /proc is that of another pid namespace
 */
function startOf(entry: string, pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
    if (Number.parseInt(stat, 10) !== pid) return undefined;
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
