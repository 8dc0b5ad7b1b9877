import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AGENT } from "../support/agent.js";
import { PYTHON } from "../support/python.js";
import { waitUntil } from "../support/wait-until.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** An account that the server made. */
export interface LabAccount {
  accountId: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** The process that simulates AWS. */
export interface LabServer {
  endpointUrl: string;
  source: LabAccount;
  worker: LabAccount;
  /** Stops the server, its loop devices and its agents. */
  stop(): Promise<void>;
}

/** Starts moto's server with the overlay. @param folder for its disks, instances and log */
export async function startLabServer(folder: string): Promise<LabServer> {
  const log = await open(join(folder, "server.log"), "a");
  const command = ["-m", "overlay.server", "--folder", folder, "--agent", process.execPath, AGENT];
  const server = spawn(PYTHON, command, {
    stdio: ["pipe", log.fd, log.fd],
    env: {
      PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
      PYTHONPATH: join(ROOT, "test", "lab"),
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  await log.close();
  const ready = await waitForFile(join(folder, "lab.json"), server, folder);
  return { ...(JSON.parse(ready) as Omit<LabServer, "stop">), stop: () => stop(server) };
}

async function waitForFile(path: string, server: ChildProcess, folder: string): Promise<string> {
  let content = "";
  await waitUntil(
    `the lab's server (its log: ${join(folder, "server.log")})`,
    async () => {
      if (server.exitCode !== null) throw new Error(`The lab's server exited with ${server.exitCode}`);
      content = await readFile(path, "utf8").catch(() => "");
      return content !== "";
    },
    START_TIMEOUT_MS,
  );
  return content;
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return;
  server.stdin?.end();
  await once(server, "exit");
}
