import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { startAgent } from "./agent.js";
import type { RunningProgram } from "./start-program.js";
import { waitUntil } from "./wait-until.js";

/** What `nbd --json` prints when it listens. */
interface Listening {
  listening: string;
  point: string;
  volume: string;
  sizeBytes: number;
}

export interface NbdService extends Listening {
  program: RunningProgram;
  /** What it has said on standard error so far. */
  stderr(): string;
  /** Ends it as Ctrl-C does, and expects that to be no failure. */
  stop(): Promise<void>;
}

/** A hook that starts one would end it when the hook ends, if it left that to `after`. */
const STARTED = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of STARTED) child.kill("SIGKILL");
});

/** Starts `blockferry-agent nbd`, which ends with the test file at the latest. */
export async function startNbd(...args: string[]): Promise<NbdService> {
  const program = startAgent(["nbd", ...args, "--json"]);
  const { process: child, result } = program;
  STARTED.add(child);
  const said = { stdout: "", stderr: "" };
  child.stdout?.on("data", (text: string) => {
    said.stdout += text;
  });
  child.stderr?.on("data", (text: string) => {
    said.stderr += text;
  });
  await waitUntil("the server to listen", () => {
    assert.equal(child.exitCode, null, `${said.stdout}${said.stderr}`);
    return said.stdout.includes("\n");
  });
  const listening = JSON.parse(said.stdout) as Listening;
  assert.ok("listening" in listening, said.stdout);
  return {
    ...listening,
    program,
    stderr: () => said.stderr,
    stop: async () => {
      child.kill("SIGINT");
      const { code, signal } = await result;
      assert.equal(code, 0, `${signal} ${said.stderr}`);
    },
  };
}
