import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runTool } from "./run-tool.js";
import { MFUSEPY } from "./tools.js";
import { waitUntil } from "./wait-until.js";

const PROGRAM = fileURLToPath(new URL("../../../test/support/odd-file-system.py", import.meta.url));

/** An oddity of a file system; odd-file-system.py describes each. */
export type Oddity =
  | "nocase"
  | "nochmod"
  | "nodirsync"
  | "noblocks"
  | "nofsync"
  | "nolink"
  | "norename"
  | "badsync"
  | "quota"
  | "short"
  | "stale";

/** Mounts a FUSE file system with these oddities below `folder` while `use` runs. Needs root. */
export async function withOddFileSystem<T>(
  folder: string,
  oddities: readonly Oddity[],
  use: (mounted: string) => Promise<T>,
): Promise<T> {
  const [under, mounted] = [join(folder, "under"), join(folder, "mounted")];
  await mkdir(under, { recursive: true });
  await mkdir(mounted, { recursive: true });
  const server = spawn(
    MFUSEPY,
    [PROGRAM, under, mounted, ...(oddities.length > 0 ? [oddities.join()] : [])],
    {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, FUSE_LIBRARY_NAME: "fuse3" },
    },
  );
  const ended = once(server, "exit");
  try {
    await waitUntil("the file system is mounted", async () => {
      if (server.exitCode !== null) throw new Error(`the file system ended with ${server.exitCode}`);
      return (await readFile("/proc/mounts", "utf8")).includes(` ${mounted} fuse`);
    });
    return await use(mounted);
  } finally {
    await runTool("umount", mounted).catch(() => runTool("umount", "--lazy", mounted));
    await ended;
  }
}
