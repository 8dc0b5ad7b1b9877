import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { systemErrorCode } from "./errors.js";

/** The state of a process elsewhere is unknown. No one is writing a file that has not changed for a week. */
const ABANDONED_AFTER_MS = 7 * 24 * 60 * 60 * 1000;

/** Unique for each host and boot. Host names and namespace numbers are not unique (random(4)). */
const BOOT_ID = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/**
 * The scope of a process id: a host since its boot, and a pid namespace on it, since containers have their
 * own (pid_namespaces(7)).
 */
const PLACE = createHash("sha256")
  .update(`${hostname()} ${BOOT_ID} ${readlinkSync("/proc/self/ns/pid")}`)
  .digest("hex")
  .slice(0, 8);

/**
 * Identifies this process as `place-pid-start` in the names of temporary files. Other processes can find out
 * from it whether the owner has ended, even if another process has its number now: the start time differs.
 */
export const OWNER_TOKEN = [PLACE, process.pid, startOf("self", process.pid)]
  .filter((part) => part !== undefined)
  .join("-");

/** The form of every token, as the source of a regular expression without groups. */
export const OWNER_TOKEN_FORM = String.raw`[0-9a-f]{8}-[1-9]\d{0,9}(?:-\d{1,20})?`;

/** Returns whether the process of a token is running; `elsewhere` if this process cannot find out. */
export function ownerState(token: string): "running" | "gone" | "elsewhere" {
  const [, place, pid, start] = /^([0-9a-f]{8})-(\d+)(?:-(\d+))?$/.exec(token) ?? [];
  if (place !== PLACE) return "elsewhere";
  if (!isProcessRunning(Number(pid))) return "gone";
  const found = startOf(String(pid), Number(pid));
  // When /proc or a token of an earlier version gives no start time, the process counts as running.
  return start === undefined || found === undefined || start === found ? "running" : "gone";
}

/**
 * Returns whether no process is writing the temporary file any more.
 * @param token the owner's, from the file's name
 */
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

/** Returns whether the process exists, under any user: EPERM also means that it is running. */
function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH";
  }
}

/**
 * Returns the start time of a process in clock ticks since boot. This is field 22 of its stat, counted after
 * the name, which may contain any character (proc(5)).
 * @returns undefined when /proc does not show it, or belongs to another pid namespace
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
