import { chooseParallelism, type Parallelism } from "../parallelism.js";
import { measuredParallelism } from "./tune.js";

/**
 * What `--threads` and `--queue-depth` come to. With `auto` devices and cores are measured first; a queue depth that is given holds.
 * @throws Usage, SourceNotFound, SourceUnreadable, Interrupted
 */
export async function chosenParallelism(
  { threads, queueDepth }: { threads: number | "auto" | undefined; queueDepth: number | undefined },
  {
    devices,
    notice,
    ...measuring
  }: { devices: string[]; notice(message: string): void; partBytes: number; signal: AbortSignal },
): Promise<Parallelism> {
  if (threads !== "auto") return chooseParallelism(threads, queueDepth);
  const found = await measuredParallelism(devices, measuring);
  const chosen = chooseParallelism(found.threads, queueDepth ?? found.queueDepth);
  notice(`--threads auto: threads ${chosen.threads}, reads in flight of each ${chosen.queueDepth}.`);
  return chosen;
}
