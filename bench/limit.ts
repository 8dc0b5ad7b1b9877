import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { emptyPageCache } from "./measure.js";
import type { Primitives } from "./primitives.js";
import type { Report } from "./report.js";

const run = promisify(execFile);
const PRIMITIVES = fileURLToPath(new URL("./primitives-main.js", import.meta.url));

/**
 * Measures the primitives in a process of their own.
 * Its I/O thread pool is as large as the agent's.
 */
export async function primitivesOf(image: string, workFolder: string): Promise<Primitives> {
  await emptyPageCache();
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(Math.max(128, availableParallelism() * 32)) };
  const { stdout } = await run(process.execPath, [PRIMITIVES, image, workFolder], { env });
  return JSON.parse(stdout) as Primitives;
}

/**
 * Returns the minimum seconds of a backup on this machine.
 * It is the longest of all CPU time spread evenly over the cores, the disk time of the reads, and that of the
 * writes.
 */
export function backupLimitSeconds({ read, hash, compress, write }: Primitives): number {
  const cpu = read.cpuSeconds + hash.cpuSeconds + compress.cpuSeconds + write.cpuSeconds;
  return Math.max(cpu / availableParallelism(), read.wallSeconds, write.wallSeconds);
}

/** Returns the minimum seconds of a backup without new data, which only reads and hashes. */
export function rescanLimitSeconds({ read, hash }: Primitives): number {
  return Math.max((read.cpuSeconds + hash.cpuSeconds) / availableParallelism(), read.wallSeconds);
}

export function reportPrimitives(report: Report, rounds: Primitives[]): void {
  const speed = (name: string, bytes: (p: Primitives) => number, seconds: (p: Primitives) => number) =>
    report.addSeries({ name, unit: "MB/s", samples: rounds.map((p) => bytes(p) / seconds(p) / 1e6) });
  speed(
    "reading, O_DIRECT, default queue depth",
    (p) => p.imageBytes,
    (p) => p.read.wallSeconds,
  );
  speed(
    "SHA-256, one core",
    (p) => p.hashedBytes,
    (p) => p.hash.cpuSeconds,
  );
  speed(
    "LZ4 and CRC-32, one core",
    (p) => p.compressedBytes,
    (p) => p.compress.cpuSeconds,
  );
  speed(
    "writing packs, O_DIRECT and sync",
    (p) => p.storedBytes,
    (p) => p.write.wallSeconds,
  );
  const seconds = (name: string, of: (p: Primitives) => number) =>
    report.addSeries({ name, unit: "CPU s", samples: rounds.map(of) });
  seconds("CPU: reading", (p) => p.read.cpuSeconds);
  seconds("CPU: SHA-256", (p) => p.hash.cpuSeconds);
  seconds("CPU: LZ4 and CRC-32", (p) => p.compress.cpuSeconds);
  seconds("CPU: writing", (p) => p.write.cpuSeconds);
}
