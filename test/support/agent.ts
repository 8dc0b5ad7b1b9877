import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The agent as it is installed: a process of its own. */
export const AGENT = fileURLToPath(new URL("../../agent/main.cjs", import.meta.url));

export interface AgentResult {
  /** Exit code, or null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunningAgent {
  process: ChildProcess;
  result: Promise<AgentResult>;
}

/** Starts `blockferry-agent`; the caller may kill it. */
export function startAgent(args: string[], env: NodeJS.ProcessEnv = {}): RunningAgent {
  const child = spawn(process.execPath, [AGENT, ...args], {
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
  });
  const result = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }));
  return { process: child, result };
}

/** Runs `blockferry-agent` to its end, whatever that is. */
export function agent(...args: string[]): Promise<AgentResult> {
  return startAgent(args).result;
}

/** Runs `blockferry-agent ... --json`, expects success, and returns what it printed. */
export async function agentJson<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await agent(...args, "--json");
  assert.equal(code, 0, `blockferry-agent ${args.join(" ")} exited with ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}
