import assert from "node:assert/strict";
import { mkdir, readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { ErrorRecord } from "../../foundation/errors.js";
import { startAgent } from "../support/agent.js";
import { byDepth } from "../support/depth.js";
import { deviceThatHangs, needingNbdDevice, withNbdDevice } from "../support/nbd-device.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  assertRestores,
  assertWhole,
  backUp,
  bytesBelow,
  filesBelow,
  newRepository,
  pointIds,
  tempFiles,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import type { RunningProgram } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";
import { stopwatch, waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const IMAGE_BYTES = 384 * MIB;
/** The longest time that a run may take to end after an interrupt. */
const DEADLINE_MS = 5000;

describe("an interrupted run", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  before(() => writeRandomFile(image, IMAGE_BYTES, new SeededRandom("interrupt")));

  const signals = byDepth({ quick: ["SIGINT"], full: ["SIGINT", "SIGTERM", "SIGHUP"] } as const);
  for (const signal of signals) {
    test(`of backup ends soon after ${signal}, and the next one stores only the missing data`, async () => {
      const repo = await newRepository(folder, signal);
      const packs = join(repo, "packs");
      const run = startAgent(["backup", "--repo", repo, "--device", image, "--threads=1", "--json"]);
      await waitUntil("the first pack", async () => (await filesBelow(packs)).length > 0);
      await assertInterrupted(run, signal);
      assert.deepEqual(await pointIds(repo), []);
      assert.deepEqual(await tempFiles(repo), [], "a run that is told to end cleans up");
      await assertWhole(repo);
      const stored = await bytesBelow(packs);
      assert.ok(stored > 32 * MIB && stored < IMAGE_BYTES, `${stored} bytes were stored`);

      const { point, stats } = await backUp(repo, image);
      assert.ok(stats.newBytes + stored <= IMAGE_BYTES + MIB, `${stored}, then ${stats.newBytes} bytes`);
      assert.ok(stats.duplicateBytes >= stored - MIB);
      await assertWhole(repo, "metadata");
      await assertRestores(repo, point, image, join(folder, `${signal}.img`));
    });
  }

  test("of restore leaves no file, and the file that it would have replaced unchanged", async () => {
    const repo = join(folder, "SIGINT");
    const place = join(folder, "place");
    await mkdir(place);
    const target = join(place, "restored.img");
    for (const existing of [[], ["restored.img"]]) {
      for (const name of existing) await writeFile(join(place, name), "precious");
      const run = startAgent([
        ...["restore", "--repo", repo, "--point", "latest", "--target", target],
        ...["--threads=1", "--force", "--json"],
      ]);
      await waitUntil("data in the partial file", async () => {
        const partial = (await readdir(place)).find((name) => name !== "restored.img");
        return partial !== undefined && (await stat(join(place, partial))).blocks * 512 > MIB;
      });
      await assertInterrupted(run, "SIGINT");
      assert.deepEqual(await readdir(place), existing);
    }
    assert.equal((await stat(target)).size, "precious".length);
  });

  test("of verify ends soon", async () => {
    const repo = join(folder, "SIGINT");
    const run = startAgent(["verify", "--repo", repo, "--read-data", "--threads=1", "--json"]);
    await waitUntil("packs being read", () => readsBelow(run, join(repo, "packs")));
    await assertInterrupted(run, "SIGINT");
  });

  test("without --json is reported on standard error, with a remedy", async () => {
    const repo = await newRepository(folder, "plain");
    const run = startAgent(["backup", "--repo", repo, "--device", image, "--threads=1"]);
    await waitUntil("data in the repository", async () => (await tempFiles(repo)).length > 0);
    run.process.kill("SIGINT");
    const { code, stdout, stderr } = await run.result;
    assert.equal(code, 130, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /Interrupted/);
    assert.match(stderr, /no recovery point was made/);
    assert.match(stderr, /[Rr]un the same command again/);
  });
});

describe("on a device that hangs, a backup", () => {
  for (const [when, readableBytes] of [
    ["from its first byte on", 0],
    ["when a part of it has been read", 16 * MIB],
  ] as const) {
    rootTest(`${when}, ends soon after Ctrl-C`, needingNbdDevice, async () => {
      await withHungBackup(readableBytes, (run) => assertEnds(run, 1, DEADLINE_MS));
    });
  }

  rootTest("ends at once after a second Ctrl-C", needingNbdDevice, async () => {
    await withHungBackup(16 * MIB, (run) => assertEnds(run, 2, 1000));
  });
});

/**
 * Starts a backup of a device that hangs from byte `readableBytes` on, calls `use`, and checks the exit of
 * the run and the repository.
 */
async function withHungBackup(
  readableBytes: number,
  use: (run: RunningProgram) => Promise<void>,
): Promise<void> {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "image");
  await writeRandomFile(image, 32 * MIB, new SeededRandom("hung"));
  const hung = deviceThatHangs(image, 32 * MIB, readableBytes);
  const run = await withNbdDevice(join(folder, "device"), hung, async (device) => {
    const started = startAgent(["backup", "--repo", repo, "--device", device, "--threads=2"]);
    try {
      await waitUntil("the device to be read", () => readsBelow(started, device));
      if (readableBytes > 0) {
        await waitUntil("data in the repository", async () => (await tempFiles(repo)).length > 0);
      }
      await use(started);
    } finally {
      started.process.kill("SIGKILL");
    }
    return started;
  });
  const { code, signal, stderr } = await run.result;
  assert.ok(code === 130 || signal === "SIGINT", `exit ${code}, signal ${signal}\n${stderr}`);
  assert.deepEqual(await pointIds(repo), []);
  await assertWhole(repo);
}

/** Returns whether the process has a file at or below `path` open. */
async function readsBelow({ process: child }: RunningProgram, path: string): Promise<boolean> {
  assert.equal(child.exitCode, null, "the run has ended already");
  const folder = `/proc/${child.pid}/fd`;
  const open = await Promise.all(
    (await readdir(folder).catch(() => [])).map((fd) => readlink(join(folder, fd)).catch(() => "")),
  );
  return open.some((file) => file === path || file.startsWith(`${path}/`));
}

/** Sends the signal. Expects a run with `--json` to end in time and to report that it was interrupted. */
async function assertInterrupted(run: RunningProgram, signal: NodeJS.Signals): Promise<void> {
  assert.equal(run.process.exitCode, null, "the run has ended already");
  const elapsedMs = stopwatch();
  run.process.kill(signal);
  const { code, stdout, stderr } = await run.result;
  const took = elapsedMs();
  assert.equal(code, 130, `${stdout}${stderr}`);
  assert.ok(took < DEADLINE_MS, `it took ${took} ms`);
  const { error } = JSON.parse(stdout) as { error: ErrorRecord };
  assert.equal(error.code, "Interrupted");
  assert.match(error.remedy, /again/);
}

/**
 * Presses Ctrl-C, and expects the run to end in time, by itself or by the signal. A thread whose read hangs
 * in the device can't be killed before the device answers. So a process with only such threads also counts as
 * ended.
 */
async function assertEnds(run: RunningProgram, presses: 1 | 2, deadlineMs: number): Promise<void> {
  let stderr = "";
  run.process.stderr?.on("data", (text: string) => {
    stderr += text;
  });
  const elapsedMs = stopwatch();
  run.process.kill("SIGINT");
  if (presses === 2) {
    await waitUntil("the first Ctrl-C to be heard", () => stderr.includes("Interrupted"), deadlineMs);
    run.process.kill("SIGINT");
  }
  await waitUntil("the end of the run", () => hasEnded(run), deadlineMs - elapsedMs());
}

/**
 * Returns whether the process is gone or a zombie: proc_pid_stat(5), the field after the name in parentheses.
 */
async function hasEnded({ process: child }: RunningProgram): Promise<boolean> {
  const line = await readFile(`/proc/${child.pid}/stat`, "utf8").catch(() => "");
  const state = line.slice(line.lastIndexOf(")") + 2, line.lastIndexOf(")") + 3);
  return ["", "Z", "X"].includes(state);
}
