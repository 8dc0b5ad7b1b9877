import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { backupLimitSeconds, primitivesOf, reportPrimitives, rescanLimitSeconds } from "./limit.js";
import type { Measured } from "./measure.js";
import type { Primitives } from "./primitives.js";
import { heading, medianRatio, print, type Report } from "./report.js";
import { emptyFolder, type Tool } from "./tools.js";

const run = promisify(execFile);

export interface CompareOptions {
  report: Report;
  image: string;
  /** The first tool is blockferry. */
  tools: Tool[];
  rounds: number;
  workFolder: string;
}

/**
 * Measures every tool on the ext4 image: backup, second backup without a change, restore.
 * Tools take turns, round by round.
 */
export async function compareOnExt4(options: CompareOptions): Promise<void> {
  const { report, tools, rounds } = options;
  heading("ext4 image of system files");
  const measured = await measureRounds(options, rounds);
  reportPrimitives(report, measured.primitives);
  for (const [number, tool] of tools.entries()) {
    const of = (runs: Measured[][]) => runs.map((round) => round[number] as Measured);
    addSeries(report, `${tool.name}: backup`, of(measured.backups));
    addSeries(report, `${tool.name}: second backup, nothing changed`, of(measured.rescans));
    addSeries(report, `${tool.name}: restore`, of(measured.restores));
  }
  const wall = (runs: Measured[][], tool: number) =>
    runs.map((round) => round[tool]?.wallSeconds ?? Number.NaN);
  const [backups, rescans, restores] = [measured.backups, measured.rescans, measured.restores];
  const ratio = (name: string, value: number, target: number) =>
    report.addBar({ name, value, target, bound: "at least", unit: "x" });
  ratio("backup, times faster than borg", medianRatio(wall(backups, 1), wall(backups, 0)), 2.2);
  ratio("backup, times faster than restic", medianRatio(wall(backups, 2), wall(backups, 0)), 4);
  addLimitBar(report, "backup", measured.primitives.map(backupLimitSeconds), wall(backups, 0), 0.8);
  addLimitBar(report, "second backup", measured.primitives.map(rescanLimitSeconds), wall(rescans, 0), 0.85);
  const better = restores.map(([, ...others]) => Math.min(...others.map(({ wallSeconds }) => wallSeconds)));
  ratio(
    "restore, times faster than the better of borg and restic",
    medianRatio(better, wall(restores, 0)),
    3,
  );
}

/**
 * Measures backups of the incompressible image.
 * All its bytes are new and written, so the disk may be the limit.
 */
export async function compareOnIncompressible(options: CompareOptions): Promise<void> {
  const { report, image, tools, rounds, workFolder } = options;
  heading("incompressible image");
  const primitives: Primitives[] = [];
  const backups: Measured[][] = [];
  for (let round = 0; round < rounds; round++) {
    primitives.push(await primitivesOf(image, workFolder));
    backups.push(await backupWithEach(tools, image));
  }
  reportPrimitives(report, primitives);
  for (const [number, tool] of tools.entries()) {
    addSeries(
      report,
      `${tool.name}: backup`,
      backups.map((round) => round[number] as Measured),
    );
  }
  const ours = backups.map((round) => round[0]?.wallSeconds ?? Number.NaN);
  addLimitBar(report, "backup of the incompressible image", primitives.map(backupLimitSeconds), ours, 0.8);
}

interface MeasuredRounds {
  primitives: Primitives[];
  backups: Measured[][];
  rescans: Measured[][];
  restores: Measured[][];
}

async function measureRounds(options: CompareOptions, rounds: number): Promise<MeasuredRounds> {
  const { image, tools, workFolder } = options;
  const measured: MeasuredRounds = { primitives: [], backups: [], rescans: [], restores: [] };
  for (let round = 0; round < rounds; round++) {
    print(`  round ${round + 1} of ${rounds}`);
    measured.primitives.push(await primitivesOf(image, workFolder));
    measured.backups.push(await backupWithEach(tools, image));
    const rescans: Measured[] = [];
    for (const tool of tools) rescans.push(await tool.backup(image));
    measured.rescans.push(rescans);
    const restores: Measured[] = [];
    for (const tool of tools) restores.push(await restoreAndCompare(tool, image, workFolder));
    measured.restores.push(restores);
  }
  return measured;
}

export async function backupWithEach(tools: Tool[], image: string): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const tool of tools) measured.push(await backUpAnew(tool, image));
  return measured;
}

/** Backs up into an empty repository. */
export async function backUpAnew(tool: Tool, image: string): Promise<Measured> {
  await tool.reset();
  return tool.backup(image);
}

export async function restoreAndCompare(tool: Tool, image: string, workFolder: string): Promise<Measured> {
  const folder = await emptyFolder(join(workFolder, "restored"));
  const { path, ...measured } = await tool.restore(image, folder);
  await run("cmp", [path, image]);
  await rm(folder, { recursive: true });
  return measured;
}

export function addSeries(report: Report, name: string, runs: Measured[]): void {
  report.addSeries({ name, unit: "s", samples: runs.map(({ wallSeconds }) => wallSeconds) });
  report.addSeries({
    name: `${name}, CPU`,
    unit: "CPU s",
    samples: runs.map(({ cpuSeconds }) => cpuSeconds),
  });
  const peaks = runs.map(({ peakRssBytes }) => peakRssBytes / 2 ** 20);
  report.addSeries({ name: `${name}, peak memory`, unit: "MiB", samples: peaks });
}

function addLimitBar(report: Report, name: string, limits: number[], wall: number[], target: number): void {
  report.addSeries({ name: `machine's limit for ${name}`, unit: "s", samples: limits });
  const value = medianRatio(limits, wall);
  report.addBar({
    name: `${name}, against the machine's limit`,
    value,
    target,
    bound: "at least",
    unit: "of the limit",
  });
}
