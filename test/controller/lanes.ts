import { after, describe } from "node:test";
import { newWorker, openStage, type Stage } from "./stage.js";
import { WAYS, type Way } from "./ways.js";

/** Ways that are tried at once: other files of tests keep the machine busy besides. */
const LANES = 2;

/** A stage with a worker; undefined for ways that launch one. */
export interface Workshop {
  stage: Stage;
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
        after(async () => (await opened)?.stage.lab.stop());
      });
    }
  });
}

export async function openWorkshop(way: Way): Promise<Workshop> {
  const stage = await openStage(way);
  return { stage, worker: await newWorker(stage) };
}
