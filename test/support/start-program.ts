import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface ProgramResult {
  /** Exit code, or null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningProgram {
  process: ChildProcess;
  result: Promise<ProgramResult>;
}

export interface StartOptions {
  env?: NodeJS.ProcessEnv;
  /** Sees everything that the program has printed on standard error so far. */
  onStderr?: (text: string) => void;
}

/** Starts a program of the project as a process of its own; the caller may kill it. */
export function startProgram(
  path: string,
  args: string[],
  { env = {}, onStderr = () => undefined }: StartOptions = {},
): RunningProgram {
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    onStderr(stderr);
  });
  const result = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }));
  return { process: child, result };
}
