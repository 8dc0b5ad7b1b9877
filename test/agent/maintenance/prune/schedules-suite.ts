import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorCode, ErrorRecord } from "../../../../foundation/errors.js";
import { CHUNK_BYTES } from "../../../../repository/format/chunk.js";
import { openRepository } from "../../../../repository/open/repository.js";
import { listPoints } from "../../../../repository/points/points.js";
import { startAgent } from "../../../support/agent.js";
import { restoreInProcess, verifyInProcess } from "../../../support/in-process.js";
import type { SeededRandom } from "../../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../../support/random-files.js";
import type { BackupOutput } from "../../../support/repositories.js";
import { seeded } from "../../../support/seeded.js";
import type { ProgramResult } from "../../../support/start-program.js";
import { tempFolder } from "../../../support/temp-folder.js";

const CHUNKS = 12;
/** Largest number of parallel runs in a schedule. */
const MAX_RUNS = 4;
const MAX_POINTS = 4;
/** One of this number of runs is killed. */
const KILLED = 4;

/** Schedules that share a repository. */
const LANE_SCHEDULES = 25;

interface ScheduleSuiteOptions {
  /** The storage of the repositories, for test names. */
  where: string;
  schedules: number;
  /** Makes an empty repository. @returns its location, for `--repo` */
  newRepository(name: string): Promise<string>;
  /** Environment of the commands; checks run without it. */
  env?: NodeJS.ProcessEnv;
  /** Storage errors that any command may fail with, if it reports them as the cause. */
  storageErrors?: readonly ErrorCode[];
}

/** Runs random schedules of all commands, in parallel and with kills. */
export function testSchedules(options: ScheduleSuiteOptions): void {
  const { where, schedules, newRepository } = options;
  const lanes = Math.ceil(schedules / LANE_SCHEDULES);
  test(
    `after each of ${schedules} random schedules of everything at once in ${where}, every point comes back bit for bit`,
    seeded(async (random) => {
      for (let lane = 0; lane < lanes; lane++) {
        const repo = await newRepository(`lane-${lane}`);
        const other = await newRepository(`copy-${lane}`);
        const schedule = new Schedules(await tempFolder(), repo, other, random, options);
        await schedule.begin();
        const count = Math.min(LANE_SCHEDULES, schedules - lane * LANE_SCHEDULES);
        for (let number = 0; number < count; number++) await schedule.run();
      }
    }),
  );
}

/** A command that may run in parallel with others. */
type Action = "backup" | "forget" | "prune" | "repair" | "verify" | "restore" | "copy";
const ACTIONS: readonly Action[] = [
  "backup",
  "backup",
  "forget",
  "prune",
  "prune",
  "repair",
  "verify",
  "restore",
  "copy",
];

class Schedules {
  /** SHA-256 of the image of each point. Points of killed backups are found by their content. */
  private readonly contents = new Map<string, string>();
  /**
   * SHA-256 of each image that was backed up. A point that a killed backup committed must have one of them.
   */
  private readonly everBackedUp = new Set<string>();
  private readonly forgotten = new Set<string>();
  private copies = 0;

  constructor(
    private readonly folder: string,
    private readonly repo: string,
    /** The destination of copied points. */
    private readonly other: string,
    private readonly random: SeededRandom,
    private readonly options: ScheduleSuiteOptions,
  ) {}

  async begin(): Promise<void> {
    await writeRandomFile(this.image, CHUNKS * CHUNK_BYTES, this.random);
    await this.finish("backup", await this.start("backup"));
  }

  async run(): Promise<void> {
    const runs = Array.from({ length: 2 + this.random.below(MAX_RUNS - 1) }, () => this.random.pick(ACTIONS));
    const done: string[] = [];
    await Promise.all(
      runs.map(async (action) => {
        const isKilled = this.random.below(KILLED) === 0;
        const run = await this.start(action, isKilled ? this.random.below(700) : undefined);
        done.push(isKilled ? `${action} (killed)` : action);
        await this.finish(action, run);
      }),
    );
    const after = `after ${done.join(", ")}`;
    await this.assertEveryPoint(this.repo, after);
    if (runs.includes("copy")) await this.assertEveryPoint(this.other, after);
  }

  private get image(): string {
    return join(this.folder, "disk.img");
  }

  /** Starts a command. @param killAfterMs time of the kill, unless the command has ended before */
  private async start(action: Action, killAfterMs?: number) {
    const { args, content, target, point } = await this.prepare(action);
    const run = startAgent([...args, "--json"], this.options.env);
    const ended = run.result.then(() => undefined);
    if (killAfterMs !== undefined) {
      await Promise.race([ended, delay(killAfterMs)]);
      run.process.kill("SIGKILL");
    }
    return { result: await run.result, content, target, point };
  }

  private async prepare(
    action: Action,
  ): Promise<{ args: string[]; content?: string; target?: string; point?: string }> {
    const points = [...this.contents.keys()].filter((id) => !this.forgotten.has(id));
    const repo = ["--repo", this.repo];
    switch (action) {
      case "copy":
        return { args: ["copy", "--from", this.repo, "--to", this.other] };
      case "backup": {
        await overwriteAtRandom(
          this.image,
          this.random.below(CHUNKS) * CHUNK_BYTES,
          2 * CHUNK_BYTES,
          this.random,
        );
        const copy = join(this.folder, `copy-${this.copies++}.img`);
        await copyFile(this.image, copy);
        const content = await sha256(copy);
        this.everBackedUp.add(content);
        return { args: ["backup", ...repo, "--threads=1", `--device=${copy}=disk`], content };
      }
      case "forget":
        for (const point of points.slice(0, Math.max(0, points.length - MAX_POINTS + 1)))
          this.forgotten.add(point);
        return { args: ["forget", ...repo, `--keep-last=${MAX_POINTS - 1}`, "--yes"] };
      case "prune":
        return { args: ["prune", ...repo, "--grace-period=0s", "--rewrite-below=70", "--allow-no-points"] };
      case "repair":
        return { args: ["repair", "index", ...repo] };
      case "verify":
        return { args: ["verify", ...repo, "--read-data", "--threads=1"] };
      case "restore": {
        const target = join(this.folder, `target-${this.copies++}.img`);
        const point = points.length === 0 ? "latest" : this.random.pick(points);
        return {
          args: ["restore", ...repo, "--threads=1", "--point", point, "--target", target],
          target,
          point,
        };
      }
    }
  }

  private async finish(action: Action, run: Awaited<ReturnType<Schedules["start"]>>): Promise<void> {
    const { result, content, target, point } = run;
    const { storageErrors = [] } = this.options;
    if (result.code === 0 && action === "backup" && content !== undefined) {
      this.contents.set((JSON.parse(result.stdout) as BackupOutput).point, content);
    }
    if (result.code === 0 && target !== undefined) {
      const restored = await sha256(target);
      if (point !== undefined && this.contents.has(point)) assert.equal(restored, this.contents.get(point));
      else assert.ok(this.everBackedUp.has(restored));
      await rm(target);
    }
    assert.ok(
      result.code === 0 || result.signal === "SIGKILL" || isExcused(action, result, storageErrors),
      describe(action, result),
    );
  }

  /** In this process, because it runs often. */
  private async assertEveryPoint(repo: string, after: string): Promise<void> {
    const repository = await openRepository(repo);
    const { points, damaged } = await listPoints(repository.storage);
    assert.deepEqual(damaged, [], after);
    const restores = points.map((point) => ({ point, path: join(this.folder, `check-${point.id}.img`) }));
    if (restores.length > 0) await restoreInProcess(repository, restores);
    for (const { point, path } of restores) {
      const restored = await sha256(path);
      const expected = this.contents.get(point.id);
      const isRight = expected === undefined ? this.everBackedUp.has(restored) : restored === expected;
      assert.ok(isRight, `point ${point.id} of ${repo} ${after}`);
      this.contents.set(point.id, restored);
      await rm(path);
    }
    const { problems, damaged: ranges } = await verifyInProcess(repository, 100);
    assert.deepEqual({ problems, ranges }, { problems: [], ranges: [] }, after);
  }
}

/**
 * Failures that parallel runs may cause: a second run that changes the index, and the restore of a point that
 * was just forgotten.
 */
function isExcused(action: Action, { stdout }: ProgramResult, storageErrors: readonly ErrorCode[]): boolean {
  const { error } = JSON.parse(stdout || "{}") as { error?: ErrorRecord };
  return (
    ((action === "prune" || action === "repair") && error?.code === "PruneRunning") ||
    (action === "restore" && error?.code === "PointNotFound") ||
    storageErrors.some((code) => code === error?.code)
  );
}

function describe(action: Action, { code, signal, stdout, stderr }: ProgramResult): string {
  return `${action}: exit ${code ?? signal}\n${stdout}\n${stderr}`;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}
