import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { AGENT_OUTPUTS } from "../../agent/cli/outputs.js";
import { holdingToSchemas } from "./printed-json.js";
import { type ProgramResult, type RunningProgram, startProgram } from "./start-program.js";

/** The installed agent, which runs in its own process. */
export const AGENT = fileURLToPath(new URL("../../programs/agent/main.cjs", import.meta.url));

/** Starts `blockferry-agent`; the caller may kill it. Its JSON is held to the schema of its command. */
export function startAgent(args: string[], env: NodeJS.ProcessEnv = {}): RunningProgram {
  return holdingToSchemas(AGENT_OUTPUTS, args, startProgram(AGENT, args, { env }));
}

/** Runs `blockferry-agent` until it exits, with or without an error. */
export function agent(...args: string[]): Promise<ProgramResult> {
  return startAgent(args).result;
}

/** Runs `blockferry-agent ... --json`, expects success, and returns the parsed output. */
export async function agentJson<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await agent(...args, "--json");
  assert.equal(code, 0, `blockferry-agent ${args.join(" ")} exited with ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}
