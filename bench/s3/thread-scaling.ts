import { copyFile, rm, stat, statfs } from "node:fs/promises";
import { availableParallelism, freemem } from "node:os";
import { basename, join } from "node:path";
import { expectedMemoryBytes } from "../../agent/tune/advise.js";
import { CIPHERTEXT_BYTES } from "../../repository/encryption/aes-gcm-cipher.js";
import { backUpAnew } from "../compare-backups.js";
import type { Measured } from "../measure.js";
import { heading, medianRatio, print, type Report } from "../report.js";
import { blockferry, encryptedBlockferry } from "../tools.js";
import { startNullSink } from "./servers.js";
import { PART_BYTES } from "./upload-ways.js";

const THREADS = [1, 2, 4, 8, 16];
/** Files in this folder are in memory. */
const MEMORY_FOLDER = "/dev/shm";
const QUEUE_DEPTH = 16;
const MIB = 2 ** 20;

interface ScalingOptions {
  report: Report;
  image: string;
  rounds: number;
}

/**
 * Backs up the image to a null sink with more and more threads.
 * Neither disk nor server is the limit, if memory has room for the image.
 */
export async function measureScaling({ report, image, rounds }: ScalingOptions): Promise<void> {
  heading("threads, ext4 image in memory to a null sink");
  const threads = THREADS.filter((count) => count <= availableParallelism());
  const plain = new Map<number, Measured[]>(threads.map((count) => [count, []]));
  const encrypted = new Map<number, Measured[]>(threads.map((count) => [count, []]));
  const onOneCore: number[] = [];
  const source = await inMemory(image);
  const sink = await startNullSink();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const count of threads) {
        const backup = ["--threads", String(count), "--queue-depth", String(QUEUE_DEPTH)];
        const tool = blockferry(sink.place(`${count}-threads`), { backup });
        plain.get(count)?.push(await backUpAnew(tool, source.path));
        const encrypting = encryptedBlockferry(sink.place(`${count}-threads-encrypted`), { backup });
        encrypted.get(count)?.push(await backUpAnew(encrypting, source.path));
      }
      const pinned = blockferry(sink.place("one-core"), {
        backup: ["--threads", "1"],
        launcher: ["taskset", "--cpu-list", "0"],
      });
      onOneCore.push((await backUpAnew(pinned, source.path)).wallSeconds);
    }
  } finally {
    await sink.stop();
    await source.remove();
  }
  const wall = (runs: Measured[] = []) => runs.map(({ wallSeconds }) => wallSeconds);
  for (const [count, runs] of plain) {
    report.addSeries({ name: `S3, ${count} threads: backup to a null sink`, unit: "s", samples: wall(runs) });
  }
  report.addSeries({ name: "S3, 1 thread on one core: the same", unit: "s", samples: onOneCore });
  const one = wall(plain.get(1));
  const addRatio = (name: string, count: number, slower: number[]) => {
    const samples = slower.map(
      (alone, round) => alone / (plain.get(count)?.[round]?.wallSeconds ?? Number.NaN),
    );
    report.addSeries({ name: `S3, ${count} threads, times faster than ${name}`, unit: "x", samples });
  };
  for (const count of threads.filter((more) => more > 2)) addRatio("one", count, one);
  if (threads.length > 1) addRatio("one on one core", threads.at(-1) ?? 1, onOneCore);
  const { size: sourceBytes } = await stat(image);
  addMemory(report, { kind: "plain", runs: plain, sourceBytes, cipherBytes: 0 });
  addMemory(report, { kind: "encrypted", runs: encrypted, sourceBytes, cipherBytes: CIPHERTEXT_BYTES });
  if (!threads.includes(2)) return print("  left out: two threads need two cores");
  report.addBar({
    name: "S3, two threads, times faster than one",
    value: medianRatio(one, wall(plain.get(2))),
    target: 1.8,
    bound: "at least",
    unit: "x",
  });
}

interface MemoryRuns {
  kind: string;
  /** By the number of threads. */
  runs: Map<number, Measured[]>;
  sourceBytes: number;
  cipherBytes: number;
}

/** Reports the peak memory of all rounds, and compares it with the formula in docs/architecture.md. */
function addMemory(report: Report, { kind, runs, ...size }: MemoryRuns): void {
  const shares = [...runs].map(([threads, rounds]) => {
    const name = `S3, ${threads} threads, ${kind}`;
    const peaks = rounds.map(({ peakRssBytes }) => peakRssBytes / MIB);
    const expected =
      expectedMemoryBytes({ ...size, threads, queueDepth: QUEUE_DEPTH, partBytes: PART_BYTES }) / MIB;
    report.addSeries({ name: `${name}: peak memory`, unit: "MiB", samples: peaks });
    report.addSeries({ name: `${name}: memory by the formula`, unit: "MiB", samples: [expected] });
    return Math.max(...peaks) / expected;
  });
  report.addBar({
    name: `S3, peak memory against the formula, ${kind}`,
    value: Math.max(...shares),
    ...{ target: 1, bound: "at most", unit: "x" },
  });
}

/** Copies the image to memory if there is room, else returns the image itself. */
async function inMemory(image: string): Promise<{ path: string; remove(): Promise<void> }> {
  const { size } = await stat(image);
  const folder = await statfs(MEMORY_FOLDER).catch(() => undefined);
  const room = folder === undefined ? 0 : Math.min(folder.bavail * folder.bsize, freemem() / 2);
  if (room < size) {
    print("  memory has no room for the image: it is read from the disk, which may be the limit");
    return { path: image, remove: async () => undefined };
  }
  const path = join(MEMORY_FOLDER, `blockferry-bench-${process.pid}-${basename(image)}`);
  await copyFile(image, path);
  return { path, remove: () => rm(path) };
}
