import assert from "node:assert/strict";
import { test } from "node:test";
import { ROUTES } from "../../controller/plan/route.js";
import { fullDepthOnly } from "../support/depth.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { ENDLESS, type FaultCase, type Moment } from "./fault-kinds.js";
import { describeWays } from "./lanes.js";
import { enableKeys, endWorker, journalOf, newWorker, startBackup } from "./stage.js";
import { allCases, casesOf, STEP_FAULTS } from "./step-faults.js";
import { stepsOfWay, WAYS, waysWith } from "./ways.js";

/** A refused call, a resource that fails, and a lost agent: the faults that quick depth tries. */
const QUICK_FAULTS = ["CreateSnapshots is not allowed", "a snapshot fails", "the agent is killed"];

test("there is a way for each route", () => {
  assert.deepEqual(new Set(WAYS.map(({ route }) => route)), new Set(ROUTES));
});

test("there are faults for each call that a step declares, and for each step", () => {
  for (const way of WAYS) {
    for (const { name, uses } of stepsOfWay(way)) {
      const faults = STEP_FAULTS[name];
      assert.ok(faults !== undefined, `test/controller/step-faults.ts has none for step ${name}`);
      const tried = new Set([...Object.keys(faults.making), ...faults.undoing]);
      const calls = uses.map(({ action }) => action.split(":")).filter(([service]) => service === "ec2");
      // AWS checks the permission for tags in the call that makes the tagged resource.
      const declared = new Set(calls.map(([, call]) => call).filter((call) => call !== "CreateTags"));
      assert.deepEqual(tried, declared, name);
    }
  }
  const known = new Set(Object.keys(STEP_FAULTS).flatMap((step) => allCases(step).map(({ name }) => name)));
  for (const name of QUICK_FAULTS) assert.ok(known.has(name), name);
});

test("each fault of each step is tried on one way", fullDepthOnly, () => {
  for (const step of Object.keys(STEP_FAULTS)) {
    const tried = waysWith(step).flatMap((way) => casesOf(step, way));
    const names = (cases: FaultCase[]) => cases.map(({ name }) => name).sort();
    assert.deepEqual(names(tried), names(allCases(step)), step);
  }
});

describeWays("a backup", (way, workshop) => {
  const steps = stepsOfWay(way);
  rootTest("takes the steps of its route, and leaves nothing behind", async () => {
    const { stage, worker } = await workshop();
    const before = await stage.lab.control.resources();
    const { code, stdout, stderr } = await startBackup(stage, worker).result;
    assert.equal(code, 0, stdout + stderr);
    const { plan, steps: taken } = await journalOf(stage, JSON.parse(stdout).job);
    assert.equal(plan.route, way.route);
    assert.deepEqual(
      taken.map(({ name }) => name),
      steps.map(({ name }) => name),
    );
    assert.deepEqual(await stage.lab.control.resources(), before);
  });

  for (const [index, { name: step, uses }] of steps.entries()) {
    for (const faultCase of casesOf(step, way)) {
      const { name } = faultCase;
      const options = QUICK_FAULTS.includes(name) ? {} : fullDepthOnly;
      rootTest(`in ${step}: ${name}`, options, async () => {
        const { stage, worker } = await workshop();
        await prove(faultCase, { stage, worker, step, uses, next: steps[index + 1]?.name });
      });
    }
  }
});

/** Runs a backup with a fault, and checks its result and the remaining resources. */
async function prove(faultCase: FaultCase, moment: Moment): Promise<void> {
  const { stage } = moment;
  const { control } = stage.lab;
  const settings = await control.settings();
  const before = await control.resources();
  const worker = faultCase.strikes ? await newWorker(stage) : moment.worker;
  const at = { ...moment, worker };
  const faults = faultCase.faults(at);
  for (const fault of faults) await control.addFault(fault);
  await control.change(faultCase.settings ?? {});
  const result = await startBackup(stage, worker, faultCase.env).result;
  const met = await control.metFaults();
  await control.clearFaults();
  await control.change(settings);
  await enableKeys(stage);
  if (faultCase.strikes) await endWorker(stage, worker);
  const expected = faultCase.error?.(at);
  if (expected === undefined) {
    assert.equal(result.code, 0, result.stdout + result.stderr);
  } else {
    const { code, message, remedy } = failure(1, result);
    assert.deepEqual({ code }, { code: expected.code }, message);
    assert.match(message, expected.message);
    assert.match(remedy, expected.remedy);
  }
  for (const [index, { action, times = 1 }] of faults.entries()) {
    const said = `fault ${index}, of ${action}, has struck ${met[index]} times\n${result.stderr}`;
    if (times === ENDLESS) assert.notEqual(met[index], 0, said);
    else assert.equal(met[index], times, said);
  }
  assert.deepEqual(await control.resources(), before);
  const { state } = await journalOf(stage, /job (job-\S+),/.exec(result.stderr)?.[1] ?? "");
  assert.equal(
    state === "finished",
    faults.every(({ times }) => times !== ENDLESS),
    state,
  );
}
