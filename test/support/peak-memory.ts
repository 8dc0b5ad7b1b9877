import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { startAgent } from "./agent.js";
import { waitUntil } from "./wait-until.js";

const TIMEOUT_MS = 300_000;

/**
 * Runs the agent and expects success.
 * @returns its output and its peak memory (RSS): VmHWM of proc_pid_status(5)
 */
export async function runMeasured(args: string[]): Promise<{ stdout: string; peakBytes: number }> {
  const run = startAgent(args);
  let peakKib = 0;
  let ended = false;
  const result = run.result.finally(() => {
    ended = true;
  });
  await waitUntil(
    `the end of ${args[0]}`,
    async () => {
      const status = await readFile(`/proc/${run.process.pid}/status`, "utf8").catch(() => "");
      peakKib = Math.max(peakKib, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0));
      return ended;
    },
    TIMEOUT_MS,
  );
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, stderr);
  return { stdout, peakBytes: peakKib * 1024 };
}
