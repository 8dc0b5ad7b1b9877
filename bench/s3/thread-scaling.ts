import { copyFile, rm, stat, statfs } from "node:fs/promises";
import { availableParallelism, freemem } from "node:os";
import { basename, join } from "node:path";
import { heading, medianRatio, print, type Report } from "../report.js";
import { blockferry } from "../tools.js";
import { startNullSink } from "./servers.js";

const THREADS = [1, 2, 4, 8, 16];
/** Files there are in memory. */
const MEMORY_FOLDER = "/dev/shm";

export interface ScalingOptions {
  report: Report;
  image: string;
  rounds: number;
}

/** Backs the image up to a null sink with more and more threads: neither disk nor server is the limit, if memory can hold the image. */
export async function measureScaling({ report, image, rounds }: ScalingOptions): Promise<void> {
  heading("threads, ext4 image in memory to a null sink");
  const threads = THREADS.filter((count) => count <= availableParallelism());
  const seconds = new Map<number, number[]>(threads.map((count) => [count, []]));
  const onOneCore: number[] = [];
  const source = await inMemory(image);
  const sink = await startNullSink();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const count of threads) {
        const tool = blockferry(sink.place(`${count}-threads`), { backup: ["--threads", String(count)] });
        await tool.reset();
        seconds.get(count)?.push((await tool.backup(source.path)).wallSeconds);
      }
      const pinned = blockferry(sink.place("one-core"), {
        backup: ["--threads", "1"],
        launcher: ["taskset", "--cpu-list", "0"],
      });
      await pinned.reset();
      onOneCore.push((await pinned.backup(source.path)).wallSeconds);
    }
  } finally {
    await sink.stop();
    await source.remove();
  }
  for (const [count, samples] of seconds) {
    report.addSeries({ name: `S3, ${count} threads: backup to a null sink`, unit: "s", samples });
  }
  report.addSeries({ name: "S3, 1 thread on one core: the same", unit: "s", samples: onOneCore });
  const one = seconds.get(1) ?? [];
  const addRatio = (name: string, count: number, slower: number[]) => {
    const samples = slower.map((alone, round) => alone / (seconds.get(count)?.[round] ?? Number.NaN));
    report.addSeries({ name: `S3, ${count} threads, times faster than ${name}`, unit: "x", samples });
  };
  for (const count of threads.filter((more) => more > 2)) addRatio("one", count, one);
  if (threads.length > 1) addRatio("one on one core", threads.at(-1) ?? 1, onOneCore);
  if (!threads.includes(2)) return print("  left out: two threads need two cores");
  report.addBar({
    name: "S3, two threads, times faster than one",
    value: medianRatio(one, seconds.get(2) ?? []),
    target: 1.8,
    bound: "at least",
    unit: "x",
  });
}

/** A copy of the image in memory, where that has room for it, or else the image itself. */
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
