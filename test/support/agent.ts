import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type ProgramResult, type RunningProgram, startProgram } from "./start-program.js";

/** The agent as it is installed: a process of its own. */
export const AGENT = fileURLToPath(new URL("../../programs/agent/main.cjs", import.meta.url));

/** Starts `blockferry-agent`; the caller may kill it. */
export function startAgent(args: string[], env: NodeJS.ProcessEnv = {}): RunningProgram {
  return startProgram(AGENT, args, { env });
}

/** Runs `blockferry-agent` to its end, whatever that is. */
export function agent(...args: string[]): Promise<ProgramResult> {
  return startAgent(args).result;
}

/** Runs `blockferry-agent ... --json`, expects success, and returns what it printed. */
export async function agentJson<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await agent(...args, "--json");
  assert.equal(code, 0, `blockferry-agent ${args.join(" ")} exited with ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}
