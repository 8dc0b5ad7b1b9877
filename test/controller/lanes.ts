import { after, describe } from "node:test";
import { type Bench, newWorker, openBench } from "./bench.js";
import { WAYS, type Way } from "./ways.js";

/** Ways that are tried at once: a backup waits more than it works. */
const LANES = 4;

/** A bench with a worker; undefined for ways that launch one. */
export interface Workshop {
  bench: Bench;
  worker: string | undefined;
}

/** Tests each way in a lab of its own, several at a time; `workshop` opens it with the first test, as that takes root. */
export function describeWays(
  name: string,
  defineTests: (way: Way, workshop: () => Promise<Workshop>) => void,
): void {
  describe(name, { concurrency: LANES }, () => {
    for (const way of WAYS) {
      describe(way.name, { concurrency: 1 }, () => {
        let opened: Promise<Workshop> | undefined;
        defineTests(way, () => {
          opened ??= openWorkshop(way);
          return opened;
        });
        after(async () => (await opened)?.bench.lab.stop());
      });
    }
  });
}

export async function openWorkshop(way: Way): Promise<Workshop> {
  const bench = await openBench(way);
  return { bench, worker: await newWorker(bench) };
}
