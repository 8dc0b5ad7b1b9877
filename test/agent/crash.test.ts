import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { startAgent } from "../support/agent.js";
import { byDepth } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import type { SeededRandom } from "../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../support/random-files.js";
import {
  assertWhole,
  backUp,
  bytesBelow,
  newRepository,
  pointIds,
  restoreTo,
  tempFiles,
} from "../support/repositories.js";
import { sha256File } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { stopwatch, waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const ROUNDS = byDepth({ quick: 1, full: 15 });
/** After this number of killed backups, one backup runs to its end. */
const ROUNDS_A_BACKUP = 4;
/** After this number of rounds, the new points are restored. */
const ROUNDS_A_RESTORE = 10;

/** The changed part takes more than one pack. */
const CHANGE_BYTES = byDepth({ quick: 80, full: 144 }) * MIB;
const IMAGE_BYTES = CHANGE_BYTES + 48 * MIB;
/** Block maps, pack footers and index records of one change. */
const OVERHEAD_BYTES = MIB;

test(
  `a backup killed at any moment, ${ROUNDS} times, leaves whole points alone, and the next one goes on`,
  seeded(async (random) => {
    const crashes = await BackupCrashes.begin(await tempFolder(), random);
    for (let round = 1; round <= ROUNDS; round++) {
      await crashes.killBackup();
      if (round % ROUNDS_A_BACKUP === 0) await crashes.finishBackup();
      if (round % ROUNDS_A_RESTORE === 0) await crashes.restoreNewPoints();
    }
    await crashes.killBackupThatStored();
    await crashes.finishBackup();
    await crashes.restoreNewPoints();
    await crashes.end();
  }),
);

test(
  `a restore killed at any moment, ${ROUNDS} times, leaves no file under its name but a complete one`,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeMixedImage(image, IMAGE_BYTES, random);
    await backUp(repo, image);
    const complete = await sha256File(image);
    const place = join(folder, "place");
    await mkdir(place);
    const target = join(place, "restored.img");
    const restore = ["restore", "--repo", repo, "--point", "latest", "--force", "--target", target];
    const pace = await measurePace(restore, async () => (await readdir(place)).length > 0);

    for (let round = 0; round < ROUNDS; round++) {
      const replaces = round % 2 === 1;
      await rm(target, { force: true });
      if (replaces) await writeFile(target, "precious");
      await killAfter(restore, randomDelay(pace, random));
      const found = await stat(target).catch(() => undefined);
      if (replaces && found?.size === "precious".length) {
        assert.equal(await readFile(target, "utf8"), "precious");
      } else if (found !== undefined) {
        assert.equal(await sha256File(target), complete, "a file under the target's name is complete");
      } else {
        assert.equal(replaces, false, "a file to be replaced is there until the new one is");
      }
    }
    await killWhenItWrites(restore, place);
    await restoreTo(repo, "latest", target, "--force");
    assert.equal(await sha256File(target), complete);
    assert.deepEqual(await readdir(place), ["restored.img"], "what killed restores left is gone");
    await assertWhole(repo, "metadata");
  }),
);

/** One repository and one image. The image changes after each committed backup. */
class BackupCrashes {
  /** SHA-256 of the image in each point. */
  private readonly points = new Map<string, string>();
  private readonly restored = new Set<string>();
  /** Bytes of packs at the last change of the image. */
  private packBytesAtChange = 0;
  /** Bytes of chunks in the image that the repository lacked at the last change. */
  private changedBytes = 0;
  private killed = 0;
  private resumed = 0;

  private constructor(
    private readonly folder: string,
    private readonly repo: string,
    private readonly random: SeededRandom,
    private readonly pace: Pace,
  ) {}

  static async begin(folder: string, random: SeededRandom): Promise<BackupCrashes> {
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, IMAGE_BYTES, random);
    const pace = await measurePace(
      backupArguments(repo, image, 1),
      async () => (await tempFiles(repo)).length > 0,
    );
    const crashes = new BackupCrashes(folder, repo, random, pace);
    const [point] = await pointIds(repo);
    crashes.points.set(point as string, await sha256File(image));
    await crashes.changeImage();
    return crashes;
  }

  async killBackup(): Promise<void> {
    const args = backupArguments(this.repo, this.image, this.random.pick([1, 1, 2]));
    await killAfter(args, randomDelay(this.pace, this.random));
    await this.checkPoints();
  }

  /**
   * Kills a backup that has stored a pack: on a slow machine, all other backups may have been killed earlier.
   */
  async killBackupThatStored(): Promise<void> {
    do {
      const { process: child, result } = startAgent(backupArguments(this.repo, this.image, 1));
      await waitUntil("a stored pack", async () => (await this.packBytes()) > this.packBytesAtChange);
      child.kill("SIGKILL");
      await result;
    } while ((await this.checkPoints()) === "committed");
  }

  /** Checks the points after a kill. The backup may have finished before it. */
  private async checkPoints(): Promise<"killed" | "committed"> {
    const [listed] = await Promise.all([pointIds(this.repo), assertWhole(this.repo, "metadata")]);
    const known = listed.filter((id) => this.points.has(id));
    assert.deepEqual(known, [...this.points.keys()], "no point is lost");
    const [added, ...more] = listed.filter((id) => !this.points.has(id));
    assert.deepEqual(more, []);
    if (added === undefined) {
      this.killed++;
      return "killed";
    }
    await this.committed(added);
    return "committed";
  }

  /**
   * Runs a backup to its end. It stores the remaining data, and removes the temporary files of killed
   * backups.
   */
  async finishBackup(): Promise<void> {
    const storedBefore = (await this.packBytes()) - this.packBytesAtChange;
    const { point, stats } = await backUp(this.repo, this.image);
    assert.ok(
      stats.newBytes + storedBefore <= this.changedBytes + OVERHEAD_BYTES,
      `${stats.newBytes} bytes were stored, although ${storedBefore} of ${this.changedBytes} were there`,
    );
    if (storedBefore > OVERHEAD_BYTES) this.resumed++;
    assert.deepEqual(await tempFiles(this.repo), []);
    await this.committed(point);
  }

  async restoreNewPoints(): Promise<void> {
    for (const [point, digest] of this.points) {
      if (this.restored.has(point)) continue;
      const target = join(this.folder, "restored.img");
      await restoreTo(this.repo, point, target);
      assert.equal(await sha256File(target), digest, `point ${point}`);
      await rm(target);
      this.restored.add(point);
    }
  }

  async end(): Promise<void> {
    const { points } = await assertWhole(this.repo);
    assert.equal(points, this.points.size);
    assert.ok(this.killed > 0, "some backup was killed before its end");
    assert.ok(this.resumed > 0, "some backup had something to go on from");
  }

  private get image(): string {
    return join(this.folder, "disk.img");
  }

  private packBytes(): Promise<number> {
    return bytesBelow(join(this.repo, "packs"));
  }

  private async committed(point: string): Promise<void> {
    this.points.set(point, await sha256File(this.image));
    await this.changeImage();
  }

  private async changeImage(): Promise<void> {
    const start = this.random.below((IMAGE_BYTES - CHANGE_BYTES) / CHUNK_BYTES) * CHUNK_BYTES;
    await overwriteAtRandom(this.image, start, CHANGE_BYTES, this.random);
    this.changedBytes = CHANGE_BYTES;
    this.packBytesAtChange = await this.packBytes();
  }
}

/**
 * Kills a restore that has written part of its file: on a slow machine, all others may have been killed
 * earlier.
 */
async function killWhenItWrites(restore: string[], place: string): Promise<void> {
  const hasPart = async () => (await readdir(place)).some((name) => name !== "restored.img");
  do {
    const { process: child, result } = startAgent(restore);
    await waitUntil("a part of the file", async () => child.exitCode !== null || (await hasPart()));
    child.kill("SIGKILL");
    await result;
  } while (!(await hasPart()));
}

/**
 * Returns the arguments of a backup. With one thread it finishes one pack after the other, so that a killed
 * run has probably stored some.
 */
function backupArguments(repo: string, image: string, threads: number): string[] {
  return ["backup", "--repo", repo, "--device", image, `--threads=${threads}`];
}

/** Times of the first write and of the end of a run, in milliseconds after its start. */
interface Pace {
  firstWriteMs: number;
  endMs: number;
}

async function measurePace(args: string[], hasStarted: () => Promise<boolean>): Promise<Pace> {
  const elapsedMs = stopwatch();
  const { result } = startAgent(args);
  await waitUntil("the first write", hasStarted);
  const firstWriteMs = elapsedMs();
  const { code, stderr } = await result;
  assert.equal(code, 0, stderr);
  return { firstWriteMs, endMs: elapsedMs() };
}

/** Returns a time between shortly before the first write of a run and shortly after its end. */
function randomDelay({ firstWriteMs, endMs }: Pace, random: SeededRandom): number {
  const from = 0.8 * firstWriteMs;
  return from + random.below(Math.ceil(1.05 * endMs - from));
}

/** Starts the agent and kills it with SIGKILL. It may have finished before. */
async function killAfter(args: string[], delayMs: number): Promise<void> {
  const { process: child, result } = startAgent(args);
  await delay(delayMs);
  child.kill("SIGKILL");
  const { code, signal, stderr } = await result;
  assert.ok(signal === "SIGKILL" || code === 0, stderr);
}
