import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { endWithParent } from "./end-with-parent.js";

const run = promisify(execFile);

/** The costs and the output of a command. */
export interface Measured {
  wallSeconds: number;
  /** User and system time of the command and its children. */
  cpuSeconds: number;
  peakRssBytes: number;
  stdout: string;
}

/**
 * Runs a command as a child and reports its resource usage (getrusage(2), RUSAGE_CHILDREN).
 * Wrapper and command are one process group, which ends as a whole when the wrapper receives SIGTERM.
 */
const WRAPPER = `
import json, os, resource, signal, subprocess, sys, time
os.setsid()
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
wall = time.monotonic() - start
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wallSeconds": wall, "cpuSeconds": use.ru_utime + use.ru_stime,
  "peakRssBytes": use.ru_maxrss * 1024, "stdout": done.stdout, "stderr": done.stderr, "code": done.returncode}))
`;

export interface MeasureOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/**
 * Runs a command and measures it.
 * @throws when the command fails
 */
export async function measure(command: string[], options: MeasureOptions = {}): Promise<Measured> {
  const { stdout } = await run(...endWithParent(["python3", "-c", WRAPPER, ...command]), {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    maxBuffer: 2 ** 26,
  });
  const result = JSON.parse(stdout) as Measured & { code: number; stderr: string };
  if (result.code !== 0) {
    throw new Error(`${command.join(" ")} exited with ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return result;
}

/**
 * Measures a command until its data is on disk.
 * Some tools leave the last writes to the kernel.
 */
export function measureDurable(command: string[], options: MeasureOptions = {}): Promise<Measured> {
  return measure(["sh", "-c", '"$@" && sync', "sh", ...command], options);
}

/**
 * Empties the page cache, so that every tool reads from the disk.
 * Only root may do this; for other users all tools read from memory.
 */
export async function emptyPageCache(): Promise<void> {
  await run("sync");
  if (process.getuid?.() === 0) writeFileSync("/proc/sys/vm/drop_caches", "3");
}

export function describeMachine(): { cpu: string; memoryBytes: number; kernel: string; node: string } {
  const cpu = /^model name\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
  const memoryKib = /^MemTotal:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? "0";
  const kernel = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  return { cpu, memoryBytes: Number(memoryKib) * 1024, kernel, node: process.version };
}
