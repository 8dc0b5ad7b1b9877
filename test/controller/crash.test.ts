import assert from "node:assert/strict";
import { rootTest } from "../support/root-test.js";
import type { ProgramResult } from "../support/start-program.js";
import { type Bench, hasPoint, journalOf, startAfterwards, startBackup } from "./bench.js";
import type { Place } from "./fault-kinds.js";
import { amid, amidUndoing, doneWith, killAt } from "./kill.js";
import { describeWays } from "./lanes.js";
import { stepsOfWay, WAYS, type Way } from "./ways.js";

describeWays("a controller that is killed", (way, workshop) => {
  const places = placesOf(way);

  for (const { step } of places) {
    rootTest(`after ${step} is taken up by resume`, async () => {
      const { bench, worker } = await workshop();
      const before = await bench.lab.control.resources();
      const job = await killAt(bench, doneWith(step), () => startBackup(bench, worker));
      assert.equal(stateOf(await journalOf(bench, job), step), "done");
      await assertCompletes(bench, job, await startAfterwards(bench, "resume", job).result);
      assert.deepEqual(await bench.lab.control.resources(), before);
    });

    rootTest(`after ${step} leaves what cleanup removes`, async () => {
      const { bench, worker } = await workshop();
      const before = await bench.lab.control.resources();
      const job = await killAt(bench, doneWith(step), () => startBackup(bench, worker));
      assert.notDeepEqual(await bench.lab.control.resources(), before);
      await assertCleansUp(bench, job);
      assert.deepEqual(await bench.lab.control.resources(), before);
    });
  }

  for (const place of places.filter(({ step }) => firstWith(step) === way)) {
    rootTest(`in ${place.step}, before it knows what it has made, leaves what cleanup removes`, async () => {
      const { bench, worker } = await workshop();
      const before = await bench.lab.control.resources();
      const job = await killAt(bench, amid(place), () => startBackup(bench, worker));
      assert.equal(stateOf(await journalOf(bench, job), place.step), "running");
      await assertCleansUp(bench, job);
      assert.deepEqual(await bench.lab.control.resources(), before);
    });
  }

  rootTest("in every step, and in undoing each, is taken up by resume time after time", async () => {
    const { bench, worker } = await workshop();
    const before = await bench.lab.control.resources();
    const [first, ...others] = [
      ...places.map(amid),
      ...places.toReversed().flatMap((place) => amidUndoing(place) ?? []),
    ];
    assert.ok(first !== undefined);
    const job = await killAt(bench, first, () => startBackup(bench, worker));
    for (const moment of others) await killAt(bench, moment, () => startAfterwards(bench, "resume", job));
    await assertCompletes(bench, job, await startAfterwards(bench, "resume", job).result);
    assert.deepEqual(await bench.lab.control.resources(), before);
  });
});

function placesOf(way: Way): Place[] {
  const names = stepsOfWay(way).map(({ name }) => name);
  return names.map((step, index) => ({ step, next: names[index + 1] }));
}

function firstWith(step: string): Way | undefined {
  return WAYS.find((way) => stepsOfWay(way).some(({ name }) => name === step));
}

type Journal = Awaited<ReturnType<typeof journalOf>>;

function stateOf({ steps }: Journal, step: string): string | undefined {
  return steps.find(({ name }) => name === step)?.state;
}

async function assertCompletes(bench: Bench, job: string, { code, stdout, stderr }: ProgramResult) {
  assert.equal(code, 0, stderr + stdout);
  const { point } = JSON.parse(stdout) as { point: string };
  assert.ok(await hasPoint(bench, point), `${point} is not in the repository`);
  assert.equal((await journalOf(bench, job)).state, "finished");
}

async function assertCleansUp(bench: Bench, job: string) {
  const { code, stdout, stderr } = await startAfterwards(bench, "cleanup", "--older-than", "0s").result;
  assert.equal(code, 0, stderr + stdout);
  assert.deepEqual(JSON.parse(stdout), { cleaned: [job], left: [], problems: [] });
}
