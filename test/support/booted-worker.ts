import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { after } from "node:test";
import { runTool } from "./run-tool.js";
import { waitUntil } from "./wait-until.js";
import type { WorkerRoot } from "./worker-root.js";

const BOOT_MS = 120_000;

/** A booted worker: systemd and its services on the worker's root, in their own namespaces. Needs root. */
export class BootedWorker {
  private constructor(private readonly init: string) {}

  /**
   * Boots the root, and powers it off at the latest when the test or suite ends.
   * @param binds `HOST:INSIDE` folders, mounted read-only
   */
  static async boot(root: WorkerRoot, binds: string[]): Promise<BootedWorker> {
    const machine = ["--directory", root.path, "--register=no", "--keep-unit", "--quiet", "--console=pipe"];
    const options = [...machine, ...binds.map((bind) => `--bind-ro=${bind}`), "--boot"];
    // systemd enforces DeviceAllow= and SocketBindDeny= of a unit with BPF programs of cgroup v2.
    const nspawn = spawn("systemd-nspawn", ["--system-call-filter=bpf", ...options], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, UNIFIED_CGROUP_HIERARCHY: "1" },
    });
    let output = "";
    for (const stream of [nspawn.stdout, nspawn.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    after(() => switchOff(nspawn));
    let init = "";
    const isUp = async () => {
      assert.equal(nspawn.exitCode, null, `systemd-nspawn ended\n${output}`);
      // Until nspawn's child has its own namespaces, each lookup may find another process.
      init = await runTool("pgrep", "--parent", String(nspawn.pid)).catch(() => "");
      if (!/^\d+$/.test(init)) return false;
      const state = await inside(init, "systemctl", "is-system-running").catch(({ stdout }) =>
        String(stdout),
      );
      return ["starting", "running", "degraded"].includes(state.trim());
    };
    await waitUntil(`a booted worker\n${output}`, isUp, BOOT_MS);
    return new BootedWorker(init);
  }

  run(command: string, ...args: string[]): Promise<string> {
    return inside(this.init, command, ...args);
  }

  /** Returns a property of a unit, as `systemctl show` prints it. */
  property(unit: string, name: string): Promise<string> {
    return this.run("systemctl", "show", "--value", "--property", name, unit);
  }
}

function inside(init: string, command: string, ...args: string[]): Promise<string> {
  return runTool("nsenter", "--target", init, "--all", command, ...args);
}

/** Sends SIGTERM twice, which kills all processes of the machine at once (systemd-nspawn(1)). */
async function switchOff(nspawn: ChildProcess): Promise<void> {
  if (nspawn.exitCode !== null || nspawn.signalCode !== null) return;
  const ended = once(nspawn, "exit");
  nspawn.kill("SIGTERM");
  nspawn.kill("SIGTERM");
  const insist = setInterval(() => nspawn.kill("SIGTERM"), 1000);
  await ended;
  clearInterval(insist);
}
