import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expectedMemoryBytes } from "../../agent/tune/advise.js";
import { addSeries, backupWithEach, type CompareOptions, restoreAndCompare } from "../compare-backups.js";
import type { Measured } from "../measure.js";
import { heading, medianRatio, print, type Report } from "../report.js";
import { blockferry, restic } from "../tools.js";
import { isVersitygwInstalled, startVersitygw } from "./servers.js";
import { PART_BYTES } from "./upload-ways.js";

const THREADS = 2;
const QUEUE_DEPTH = 16;
const MIB = 2 ** 20;

/**
 * Measures backup and restore of the ext4 image with a real S3 server on this machine.
 * blockferry and restic take turns.
 */
export async function compareOnS3(options: Omit<CompareOptions, "tools">): Promise<void> {
  const { report, image, rounds, workFolder } = options;
  heading("ext4 image of system files, to versitygw on this machine");
  if (!(await isVersitygwInstalled())) {
    print("  left out: versitygw is not installed, which takes Go");
    return;
  }
  const server = await startVersitygw(join(workFolder, "versitygw"));
  const flags = ["--threads", String(THREADS), "--queue-depth", String(QUEUE_DEPTH)];
  const tools = [
    blockferry(server.place("blockferry"), { backup: flags }),
    restic(server.place("restic"), workFolder),
  ];
  const backups: Measured[][] = [];
  const restores: Measured[][] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      backups.push(await backupWithEach(tools, image));
      const restored: Measured[] = [];
      for (const tool of tools) restored.push(await restoreAndCompare(tool, image, workFolder));
      restores.push(restored);
    }
  } finally {
    await server.stop();
  }
  for (const [number, tool] of tools.entries()) {
    const of = (runs: Measured[][]) => runs.map((round) => round[number] as Measured);
    addSeries(report, `S3, ${tool.name}: backup`, of(backups));
    addSeries(report, `S3, ${tool.name}: restore`, of(restores));
  }
  addRatios(report, backups, restores);
  addMemory(report, backups, (await stat(image)).size);
}

function addRatios(report: Report, backups: Measured[][], restores: Measured[][]): void {
  const ratio = (runs: Measured[][], of: (measured: Measured) => number) => {
    const [ours, theirs] = [0, 1].map((tool) => runs.map((round) => of(round[tool] as Measured)));
    return medianRatio(theirs as number[], ours as number[]);
  };
  const bar = (name: string, value: number, target: number) =>
    report.addBar({ name, value, target, bound: "at least", unit: "x" });
  const wall = (measured: Measured) => measured.wallSeconds;
  bar("S3 backup, times faster than restic", ratio(backups, wall), 3);
  const cpu = (measured: Measured) => measured.cpuSeconds;
  bar("S3 backup, times fewer CPU seconds than restic", ratio(backups, cpu), 2.5);
  bar("S3 restore, times faster than restic", ratio(restores, wall), 3);
}

function addMemory(report: Report, backups: Measured[][], imageBytes: number): void {
  const expected = expectedMemoryBytes({
    ...{ threads: THREADS, queueDepth: QUEUE_DEPTH },
    ...{ partBytes: PART_BYTES, sourceBytes: imageBytes, cipherBytes: 0 },
  });
  report.addSeries({
    name: `S3 backup, memory by the formula, ${THREADS} threads`,
    unit: "MiB",
    samples: [expected / MIB],
  });
  const value = Math.max(...backups.map(([ours]) => ours?.peakRssBytes ?? Number.NaN)) / MIB;
  report.addBar({
    name: `S3 backup, peak memory, ${THREADS} threads`,
    value,
    target: 600,
    bound: "at most",
    unit: "MiB",
  });
}
