import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runTool } from "./run-tool.js";
import type { ProgramResult } from "./start-program.js";

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const PARTS = join(PROJECT, ".tools/worker");
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const PAYLOAD = ["backup-only.conf", "blockferry-agent.service", "set-limits.sh"];
const run = promisify(execFile);

/** A Debian root that becomes a worker, as packer/worker.pkr.hcl makes one from an instance. Needs root. */
export class WorkerRoot {
  private constructor(readonly path: string) {}

  /** Makes a new root in `path` from the output of scripts/worker-parts.sh. */
  static async create(path: string): Promise<WorkerRoot> {
    const root = new WorkerRoot(path);
    await mkdir(path);
    await runTool("tar", "-xf", join(PARTS, "root.tar"), "-C", root.path);
    await copyFile("/etc/resolv.conf", root.file("/etc/resolv.conf"));
    await mkdir(root.file("/payload"));
    await copyFile(CERTIFICATES, root.file("/certificates.crt"));
    await copyFile(join(PARTS, "node.tar"), root.file("/node.tar"));
    await copyFile(join(PROJECT, "packer/provision.sh"), root.file("/provision.sh"));
    return root;
  }

  /** Returns the path, outside the root, of a path inside the root. */
  file(path: string): string {
    return join(this.path, path);
  }

  /** Runs packer/provision.sh with the packed package, this machine's registry and its certificates. */
  async provision(fields: Record<string, string> = {}): Promise<ProgramResult> {
    await this.uploadPayload();
    return this.run("bash", ["/provision.sh"], {
      PAYLOAD: "/payload",
      NODE_ARCHIVE: "/node.tar",
      NODE_SHA256: await sha256(this.file("/node.tar")),
      NODE_EXTRA_CA_CERTS: "/certificates.crt",
      npm_config_cafile: "/certificates.crt",
      npm_config_registry: await runTool("npm", "config", "get", "registry"),
      ...fields,
    });
  }

  /** Runs a command inside, with its own processes and mounts, which end with it. */
  async run(command: string, args: string[], env: Record<string, string> = {}): Promise<ProgramResult> {
    const mounts = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"';
    const inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounts, this.path];
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const program = ["env", "-i", "HOME=/root", path, ...variables, command, ...args];
    const options = { maxBuffer: 64 * 1024 * 1024 };
    try {
      const output = await run(inside[0] as string, [...inside.slice(1), ...program], options);
      return { code: 0, signal: null, ...output };
    } catch (error) {
      return error as ProgramResult;
    }
  }

  private async uploadPayload(): Promise<void> {
    const folder = this.file("/payload");
    await mkdir(folder, { recursive: true });
    await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: PROJECT });
    const { version } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8"));
    await cp(join(folder, `blockferry-${version}.tgz`), join(folder, "blockferry.tgz"));
    await copyFile(join(PROJECT, "package-lock.json"), join(folder, "package-lock.json"));
    for (const name of PAYLOAD) await cp(join(PROJECT, "packer", name), join(folder, name));
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
