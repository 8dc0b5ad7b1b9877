import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { systemErrorCode } from "../../foundation/errors.js";
import { runTool } from "./run-tool.js";
import { waitUntil } from "./wait-until.js";

/**
 * Mounts an NBD export as a file, by nbdfuse, while `use` runs. Needs root.
 * @param server a URI, or `--command` and the command that starts a server
 */
export async function withNbdFile<T>(
  path: string,
  server: string[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  await writeFile(path, "");
  const nbdfuse = spawn("nbdfuse", [path, ...server], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  let log = "";
  nbdfuse.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(nbdfuse, "exit");
  try {
    await waitUntil(`nbdfuse on ${path}`, () => {
      assert.equal(nbdfuse.exitCode, null, `nbdfuse ended: ${log}`);
      return isMounted(path);
    });
    return await use(path);
  } finally {
    await runTool("umount", "--lazy", path).catch(() => undefined);
    killGroup(nbdfuse.pid);
    await ended;
    nbdfuse.stderr.destroy();
  }
}

/** Kills nbdfuse, nbdkit and the scripts that nbdkit runs. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    assert.equal(systemErrorCode(error), "ESRCH");
  }
}

function isMounted(path: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === path);
}
