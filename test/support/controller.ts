import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { AgentResult, RunningAgent } from "./agent.js";

/** The controller as it is installed: a process of its own. */
const CONTROLLER = fileURLToPath(new URL("../../controller/main.js", import.meta.url));

/** Starts `blockferry`; the caller may kill it. @param onStderr sees everything that it has printed there so far */
export function startController(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  onStderr: (text: string) => void = () => undefined,
): RunningAgent {
  const child = spawn(process.execPath, [CONTROLLER, ...args], {
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

/** Runs `blockferry` to its end, whatever that is. */
export function controller(args: string[], env: NodeJS.ProcessEnv = {}): Promise<AgentResult> {
  return startController(args, env).result;
}
