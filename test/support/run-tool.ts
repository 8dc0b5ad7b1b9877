import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs a system tool, also one in root's folders such as /sbin. @returns its trimmed output */
export async function runTool(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(command, args, {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout.trim();
}
