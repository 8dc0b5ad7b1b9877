import type { Storage } from "../../repository/storage/storage.js";
import { chooseParallelism, mostReads, type Parallelism } from "../parallelism.js";
import { measuredParallelism } from "./tune.js";

/** The parallelism that the options request. */
interface WantedParallelism {
  threads: number | "auto" | undefined;
  queueDepth: number | undefined;
}

/**
 * Refuses impossible settings before anything is opened.
 * @throws Usage
 */
export function refuseParallelism({ threads, queueDepth }: WantedParallelism): void {
  chooseParallelism(threads === "auto" ? 1 : threads, queueDepth);
}

/**
 * Returns the parallelism for `--threads` and `--queue-depth`.
 * With `auto`, devices and cores are measured first; a given queue depth is kept.
 * @throws Usage, SourceNotFound, SourceUnreadable, Interrupted
 */
export async function chosenParallelism(
  { threads, queueDepth }: WantedParallelism,
  {
    devices,
    notice,
    ...measuring
  }: { devices: string[]; notice(message: string): void; storage: Storage; signal: AbortSignal },
): Promise<Parallelism> {
  if (threads !== "auto") return chooseParallelism(threads, queueDepth);
  const found = await measuredParallelism(devices, measuring);
  const chosen = chooseParallelism(
    threadsFor(found.threads, queueDepth ?? found.queueDepth),
    queueDepth ?? found.queueDepth,
  );
  notice(`--threads auto: threads ${chosen.threads}, reads in flight of each ${chosen.queueDepth}.`);
  return chosen;
}

/** Returns as many of the threads as have enough I/O threads for a given queue depth. */
function threadsFor(threads: number, queueDepth: number): number {
  return threads > 1 && mostReads(threads) < queueDepth ? threadsFor(threads - 1, queueDepth) : threads;
}
