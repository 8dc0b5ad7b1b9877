import { after, describe } from "node:test";
import { newWorker, openStage, type Stage } from "./stage.js";
import { TRIED_WAYS, type Way } from "./ways.js";

/** Ways that are tested in parallel, next to other test files. */
const LANES = 2;

/** A stage with a worker; the worker is undefined for ways that launch one. */
export interface Workshop {
  stage: Stage;
  worker: string | undefined;
}

/**
 * Tests each way in its own lab, several in parallel. `workshop` opens the lab in the first test, because it
 * needs root.
 */
export function describeWays(
  name: string,
  defineTests: (way: Way, workshop: () => Promise<Workshop>) => void,
): void {
  describe(name, { concurrency: LANES }, () => {
    for (const way of TRIED_WAYS) {
      describe(way.name, { concurrency: 1 }, () => {
        let opened: Promise<Workshop> | undefined;
        defineTests(way, () => {
          opened ??= openWorkshop(way);
          return opened;
        });
        after(async () => (await opened)?.stage.lab.stop());
      });
    }
  });
}

export async function openWorkshop(way: Way): Promise<Workshop> {
  const stage = await openStage(way);
  return { stage, worker: await newWorker(stage) };
}
