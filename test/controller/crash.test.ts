import assert from "node:assert/strict";
import { fullDepthOnly } from "../support/depth.js";
import { rootTest } from "../support/root-test.js";
import type { ProgramResult } from "../support/start-program.js";
import type { Place } from "./fault-kinds.js";
import { amid, amidUndoing, doneWith, killAt } from "./kill.js";
import { describeWays } from "./lanes.js";
import { hasPoint, journalOf, type Stage, startAfterwards, startBackup } from "./stage.js";
import { stepsOfWay, type Way, waysWith } from "./ways.js";

describeWays("a controller that is killed", (way, workshop) => {
  /** A controller is killed in each step, on the first way that has the step. */
  const places = placesOf(way).filter(({ step }) => waysWith(step)[0] === way);

  for (const { step, next } of places) {
    rootTest(`after ${step} is taken up by resume`, fullDepthOnly, async () => {
      const { stage, worker } = await workshop();
      const before = await stage.lab.control.resources();
      const job = await killAt(stage, doneWith(step), () => startBackup(stage, worker));
      assert.equal(stateOf(await journalOf(stage, job), step), "done");
      await assertCompletes(stage, job, await startAfterwards(stage, "resume", job).result);
      assert.deepEqual(await stage.lab.control.resources(), before);
    });

    rootTest(
      `after ${step} leaves what cleanup removes`,
      next === undefined ? {} : fullDepthOnly,
      async () => {
        const { stage, worker } = await workshop();
        const before = await stage.lab.control.resources();
        const job = await killAt(stage, doneWith(step), () => startBackup(stage, worker));
        assert.notDeepEqual(await stage.lab.control.resources(), before);
        await assertCleansUp(stage, job);
        assert.deepEqual(await stage.lab.control.resources(), before);
      },
    );
  }

  for (const place of places) {
    const name = `in ${place.step}, before it knows what it has made, leaves what cleanup removes`;
    rootTest(name, fullDepthOnly, async () => {
      const { stage, worker } = await workshop();
      const before = await stage.lab.control.resources();
      const job = await killAt(stage, amid(place), () => startBackup(stage, worker));
      assert.equal(stateOf(await journalOf(stage, job), place.step), "running");
      await assertCleansUp(stage, job);
      assert.deepEqual(await stage.lab.control.resources(), before);
    });
  }

  if (places.length === 0) return;
  const steps = places.map(({ step }) => step).join(", ");
  rootTest(
    `in ${steps}, and in undoing each, is taken up by resume time after time`,
    fullDepthOnly,
    async () => {
      const { stage, worker } = await workshop();
      const before = await stage.lab.control.resources();
      const [first, ...others] = [
        ...places.map(amid),
        ...places.toReversed().flatMap((place) => amidUndoing(place) ?? []),
      ];
      assert.ok(first !== undefined);
      const job = await killAt(stage, first, () => startBackup(stage, worker));
      for (const moment of others) await killAt(stage, moment, () => startAfterwards(stage, "resume", job));
      await assertCompletes(stage, job, await startAfterwards(stage, "resume", job).result);
      assert.deepEqual(await stage.lab.control.resources(), before);
    },
  );
});

function placesOf(way: Way): Place[] {
  const names = stepsOfWay(way).map(({ name }) => name);
  return names.map((step, index) => ({ step, next: names[index + 1] }));
}

type Journal = Awaited<ReturnType<typeof journalOf>>;

function stateOf({ steps }: Journal, step: string): string | undefined {
  return steps.find(({ name }) => name === step)?.state;
}

async function assertCompletes(stage: Stage, job: string, { code, stdout, stderr }: ProgramResult) {
  assert.equal(code, 0, stderr + stdout);
  const { point } = JSON.parse(stdout) as { point: string };
  assert.ok(await hasPoint(stage, point), `${point} is not in the repository`);
  assert.equal((await journalOf(stage, job)).state, "finished");
}

async function assertCleansUp(stage: Stage, job: string) {
  const { code, stdout, stderr } = await startAfterwards(stage, "cleanup", "--older-than", "0s").result;
  assert.equal(code, 0, stderr + stdout);
  assert.deepEqual(JSON.parse(stdout), { cleaned: [job], left: [], problems: [], removed: [] });
}
