import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { formatBytes, formatSeconds } from "../command-line/format.js";
import type { BackupStats } from "../repository/format/recovery-point.js";
import { changeDisk, makeDisk } from "./demo-disk.js";

const run = promisify(execFile);
const AGENT = fileURLToPath(new URL("../programs/agent/main.cjs", import.meta.url));

interface BackupResult {
  point: string;
  seconds: number;
  stats: BackupStats;
}

/**
 * Runs the main job on real input and prints the result of each step.
 * All files of the demo are removed at the end.
 */
async function demo(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-demo-"));
  const path = (name: string) => join(folder, name);
  const repo = ["--repo", path("repository")];
  process.env.BLOCKFERRY_STATE_DIR = path("state");
  try {
    step("Making a disk: an ext4 image of real files, with copies, holes and random data");
    await makeDisk(path("disk.img"), folder);
    const { size, blocks } = await stat(path("disk.img"));
    tell(`${formatBytes(size)}, of which ${formatBytes(blocks * 512)} are in use`);

    step("Backing it up");
    await agent("init", ...repo);
    const device = ["--device", `${path("disk.img")}=disk`];
    const first = await agent<BackupResult>("backup", ...repo, ...device);
    tellBackup(first);

    step("Changing it: two files written, one deleted");
    await changeDisk(path("disk.img"), folder);

    step("Backing it up again");
    const second = await agent<BackupResult>("backup", ...repo, ...device);
    tellBackup(second);
    assert(
      second.stats.storedBytes < first.stats.storedBytes / 10,
      "the second backup stored only the change",
    );

    step("Restoring the second point, and comparing it byte for byte");
    const target = path("restored.img");
    const restored = await agent<{ seconds: number }>(
      "restore",
      ...repo,
      "--point",
      "latest",
      "--target",
      target,
    );
    await run("cmp", [target, path("disk.img")]);
    const restoredBlocks = (await stat(target)).blocks;
    tell(`the same ${formatBytes(size)}, in ${formatSeconds(restored.seconds)}`);
    tell(`holes are holes again: it takes ${formatBytes(restoredBlocks * 512)} of disk`);

    step("Verifying the repository, every byte of it");
    const report = await agent<{ ok: boolean; bytesRead: number }>("verify", ...repo, "--read-data");
    assert(report.ok);
    tell(`${formatBytes(report.bytesRead)} read and proven`);

    const once = formatBytes(report.bytesRead);
    process.stdout.write(
      `\nTwo full recovery points of ${formatBytes(size)} each stand in ${once}, and both come back bit for bit.\n`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs `blockferry-agent ... --json` and returns the parsed output. */
async function agent<T>(...args: string[]): Promise<T> {
  const { stdout } = await run(process.execPath, [AGENT, ...args, "--json"]);
  return JSON.parse(stdout) as T;
}

function step(title: string): void {
  process.stdout.write(`\n● ${title}\n`);
}

function tell(line: string): void {
  process.stdout.write(`  ${line}\n`);
}

function tellBackup({ point, seconds, stats }: BackupResult): void {
  tell(`${formatBytes(stats.sourceBytes)} read in ${formatSeconds(seconds)}`);
  tell(
    `${formatBytes(stats.zeroBytes)} were zeros, ${formatBytes(stats.duplicateBytes)} were stored already`,
  );
  tell(`${formatBytes(stats.newBytes)} were new, compressed to ${formatBytes(stats.storedBytes)}`);
  tell(`recovery point ${point}`);
}

await demo();
