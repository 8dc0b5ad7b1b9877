import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { runTool } from "./run-tool.js";
import { waitUntil } from "./wait-until.js";

/**
 * Serves a device by nbdkit, plugin and filters as given, and mounts it as a file by nbdfuse while `use` runs. It is a device
 * as bad as the arguments make it: slow, hung, or with blocks that cannot be read. Needs root.
 */
export async function withNbdDevice<T>(
  path: string,
  nbdkitArguments: string[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  await writeFile(path, "");
  const nbdkit = ["nbdkit", "--single", "--exit-with-parent", ...nbdkitArguments];
  const server = spawn("nbdfuse", [path, "--command", ...nbdkit], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(server, "exit");
  try {
    await waitUntil(`nbdfuse on ${path}`, () => {
      assert.equal(server.exitCode, null, `nbdfuse ended: ${log}`);
      return isMounted(path);
    });
    return await use(path);
  } finally {
    await runTool("umount", "--lazy", path).catch(() => undefined);
    killGroup(server.pid);
    await ended;
    server.stderr.destroy();
  }
}

export interface BadRange {
  offset: number;
  length: number;
}

/** nbdkit arguments for a device with the content of `image`, on which reads that touch one of `bad` fail with EIO. */
export function deviceWithBadBlocks(image: string, sizeBytes: number, bad: BadRange[]): string[] {
  const tests = bad.map(
    ({ offset, length }) =>
      `if [ $4 -lt ${offset + length} ] && [ $(($4 + $3)) -gt ${offset} ]; then fail; fi;`,
  );
  return scriptedDevice(image, sizeBytes, `fail() { echo EIO bad block >&2; exit 1; }; ${tests.join(" ")}`);
}

/** nbdkit arguments for a device with the content of `image`, on which reads from byte `offset` on never return. */
export function deviceThatHangs(image: string, sizeBytes: number, offset: number): string[] {
  return scriptedDevice(image, sizeBytes, `if [ $(($4 + $3)) -gt ${offset} ]; then exec sleep 60; fi;`);
}

/** nbdkit-eval-plugin(1): a `pread` script is given the count as $3 and the offset as $4. */
function scriptedDevice(image: string, sizeBytes: number, beforeRead: string): string[] {
  const read = `dd if='${image}' skip=$4 count=$3 iflag=skip_bytes,count_bytes bs=1M status=none`;
  return ["eval", `get_size=echo ${sizeBytes}`, `pread=${beforeRead} ${read}`];
}

/** nbdfuse, nbdkit and the scripts that it runs. */
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
