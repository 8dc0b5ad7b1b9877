import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { startAgent } from "./agent.js";
import type { RunningProgram } from "./start-program.js";
import { waitUntil } from "./wait-until.js";

/** The output of `nbd --json` when it listens. */
interface Listening {
  listening: string;
  point: string;
  volume: string;
  sizeBytes: number;
  recoveryPoint: { machine: string };
}

export interface NbdService extends Listening {
  program: RunningProgram;
  /** The output on standard error so far. */
  stderr(): string;
  /** Stops the server as Ctrl-C does, and expects exit code 0. */
  stop(): Promise<void>;
}

/** Servers that are ended with the test file. An `after` in a hook would end them with that hook. */
const STARTED = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of STARTED) child.kill("SIGKILL");
});

/** Starts `blockferry-agent nbd`. It ends at the latest with the test file. */
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
