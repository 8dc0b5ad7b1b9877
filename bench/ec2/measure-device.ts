import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Tuning } from "../../agent/tune/tune.js";
import { BlockSource } from "../../native-free-io/block-source.js";
import type { BackupFigures } from "../../report/backup-figures.js";
import { figuresOf } from "../../report/page.js";
import { describeMachine, type Measured, measure } from "../measure.js";
import type { Place } from "../place.js";
import { print } from "../report.js";
import { AGENT } from "../tools.js";
import { blockferryOnDevice, type DeviceTool, type Measuring, otherTools } from "./device-tools.js";
import { type DeviceFigures, fastest, type SweptBackup, type SweptRestore, type Timed } from "./figures.js";
import { sweepWithFio } from "./fio.js";
import type { OwnPlaces } from "./own-place.js";

const run = promisify(execFile);

interface DeviceBenchOptions {
  /** Only read. */
  device: string;
  /** A file or device, which is overwritten if it exists. */
  target: string;
  places: OwnPlaces;
  /** As given by the user. */
  repository: string;
  workFolder: string;
  measuring: Measuring;
  rounds: number;
  threads: number[];
  queueDepths: number[];
  fioDepths: number[];
  /** For each of fio's depths. */
  fioSeconds: number;
  tuneSeconds: number;
}

/**
 * Measures the device itself, then backups and restores of it.
 * blockferry is measured with several options, then compared with other tools.
 */
export async function measureDevice(options: DeviceBenchOptions): Promise<DeviceFigures> {
  const { device, places, rounds, workFolder, measuring } = options;
  const startedAt = new Date().toISOString();
  const sizeBytes = await sizeOf(device);
  print("fio");
  const fio = await sweepWithFio(device, options.fioDepths, options.fioSeconds);
  print("blockferry-agent tune");
  const tuning = await tuneOn(places.place("tune"), options);
  const { backups, reports } = await sweepBackups(options);
  const { threads, queueDepth } = fastest(backups);
  print(`the fastest: ${threads} threads, ${queueDepth} reads in flight each`);
  const place = places.place("best");
  const ours = blockferryOnDevice(place, { measuring, backup: flagsOf(threads, queueDepth), restore: [] });
  const others = otherTools(places.kind, places.place, { workFolder, measuring });
  const tools = await compare([ours, ...others], options, sizeBytes);
  return {
    ...{ version: 1, kind: "bench", startedAt, device, sizeBytes, rounds, fio, tuning, backups, tools },
    machine: { ...describeMachine(), cores: availableParallelism() },
    repository: options.repository,
    best: reports.get(keyOf(threads, queueDepth)) as BackupFigures,
    restores: await sweepRestores(place, options, sizeBytes),
  };
}

async function sizeOf(device: string): Promise<number> {
  const source = await BlockSource.open(device);
  await source.close();
  return source.sizeBytes;
}

async function tuneOn(place: Place, { device, tuneSeconds }: DeviceBenchOptions): Promise<Tuning> {
  const { env } = place;
  await measure([...AGENT, "init", ...place.blockferryOptions], { env });
  const flags = ["--device", device, "--seconds", String(tuneSeconds), "--json"];
  const { stdout } = await measure([...AGENT, "tune", ...place.blockferryOptions, ...flags], { env });
  await place.empty();
  return JSON.parse(stdout) as Tuning;
}

/** Measures every number of threads with every queue depth, each backup into an empty repository. */
async function sweepBackups(
  options: DeviceBenchOptions,
): Promise<{ backups: SweptBackup[]; reports: Map<string, BackupFigures> }> {
  const { device, places, rounds, workFolder, measuring } = options;
  const place = places.place("sweep");
  const path = join(workFolder, "sweep.html");
  const reports = new Map<string, BackupFigures>();
  const backups: SweptBackup[] = options.threads.flatMap((threads) =>
    options.queueDepths.map((queueDepth) => ({ threads, queueDepth, wallSeconds: [], cpuSeconds: [] })),
  );
  for (let round = 0; round < rounds; round++) {
    for (const backup of backups) {
      const { threads, queueDepth } = backup;
      const flags = [...flagsOf(threads, queueDepth), "--report", path];
      const tool = blockferryOnDevice(place, { measuring, backup: flags, restore: [] });
      await tool.reset();
      add(backup, await tool.backup(device));
      reports.set(keyOf(threads, queueDepth), figuresOf(await readFile(path, "utf8")) as BackupFigures);
      print(
        `backup: ${threads} threads, ${queueDepth} reads in flight each: ${backup.wallSeconds.at(-1)?.toFixed(2)} s`,
      );
    }
  }
  await place.empty();
  return { backups, reports };
}

async function sweepRestores(
  place: Place,
  { device, target, threads, rounds, measuring }: DeviceBenchOptions,
  sizeBytes: number,
): Promise<SweptRestore[]> {
  const restores: SweptRestore[] = threads.map((count) => ({
    threads: count,
    wallSeconds: [],
    cpuSeconds: [],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const restore of restores) {
      const flags = ["--threads", String(restore.threads)];
      const tool = blockferryOnDevice(place, { measuring, backup: [], restore: flags });
      add(restore, await tool.restore(target));
      await expectSame(device, target, sizeBytes);
      print(`restore: ${restore.threads} threads: ${restore.wallSeconds.at(-1)?.toFixed(2)} s`);
    }
  }
  return restores;
}

/**
 * Compares the tools, which take turns, round by round.
 * The last backup of blockferry stays for the later measurements.
 */
async function compare(
  tools: DeviceTool[],
  { device, target, rounds }: DeviceBenchOptions,
  sizeBytes: number,
): Promise<DeviceFigures["tools"]> {
  const times = tools.map(({ name }) => ({ name, backup: noTimes(), again: noTimes(), restore: noTimes() }));
  for (let round = 0; round < rounds; round++) {
    for (const [number, tool] of tools.entries()) {
      const time = times[number] as DeviceFigures["tools"][number];
      await tool.reset();
      add(time.backup, await tool.backup(device));
      add(time.again, await tool.backup(device));
      add(time.restore, await tool.restore(target));
      await expectSame(device, target, sizeBytes);
      print(
        `${tool.name}: backup ${time.backup.wallSeconds.at(-1)?.toFixed(2)} s, restore ${time.restore.wallSeconds.at(-1)?.toFixed(2)} s`,
      );
    }
  }
  return times;
}

/**
 * Compares the device with the target, which may be longer.
 * @throws when they differ
 */
async function expectSame(device: string, target: string, sizeBytes: number): Promise<void> {
  await run("cmp", ["--bytes", String(sizeBytes), device, target]);
}

function flagsOf(threads: number, queueDepth: number): string[] {
  return ["--threads", String(threads), "--queue-depth", String(queueDepth)];
}

function keyOf(threads: number, queueDepth: number): string {
  return `${threads} ${queueDepth}`;
}

function noTimes(): Timed {
  return { wallSeconds: [], cpuSeconds: [] };
}

function add(times: Timed, { wallSeconds, cpuSeconds }: Measured): void {
  times.wallSeconds.push(wallSeconds);
  times.cpuSeconds.push(cpuSeconds);
}
