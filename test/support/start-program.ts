import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { passphraseVariables } from "./passphrase-variables.js";

/** Programs of this test process store their memory of repositories here, not in the developer's home. */
const STATE = mkdtempSync(join(tmpdir(), "blockferry-state-"));
process.env.BLOCKFERRY_STATE_DIR = STATE;
process.on("exit", () => rmSync(STATE, { recursive: true, force: true }));

export interface ProgramResult {
  /** Exit code, or null when a signal ended the program. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningProgram {
  process: ChildProcess;
  result: Promise<ProgramResult>;
}

interface StartOptions {
  env?: NodeJS.ProcessEnv;
  /** Receives the whole standard error so far at each new output. */
  onStderr?: (text: string) => void;
}

/** Starts a program of the project in its own process; the caller may kill it. */
export function startProgram(
  path: string,
  args: string[],
  { env = {}, onStderr = () => undefined }: StartOptions = {},
): RunningProgram {
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...passphraseVariables(args), ...env },
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
