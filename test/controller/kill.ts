import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { LabFault } from "../lab/lab-control.js";
import type { RunningProgram } from "../support/start-program.js";
import { waitUntil } from "../support/wait-until.js";
import { during, type Place, whenUndone } from "./fault-kinds.js";
import type { Stage } from "./stage.js";
import { STEP_FAULTS } from "./step-faults.js";

const POLL_MS = 20;
const TIMEOUT_MS = 120_000;

/** The moment when the journal records that a step is done. */
export function doneWith(step: string): LabFault {
  const body = `"name":"${step}","state":"done"`;
  return { action: "PutObject", naming: "/journal.json", since: { action: "PutObject", body } };
}

/** The moment after AWS has made a step's resource. The controller does not know it yet. */
export function amid(place: Place): LabFault {
  return during(place, faultsOf(place).makes);
}

/** The moment after AWS has removed a step's resource. Undefined for a step without AWS resources. */
export function amidUndoing(place: Place): LabFault | undefined {
  const { removes } = faultsOf(place);
  return removes && whenUndone(place, removes);
}

function faultsOf({ step }: Place) {
  const faults = STEP_FAULTS[step];
  assert.ok(faults !== undefined, `test/controller/step-faults.ts has none for step ${step}`);
  return faults;
}

/**
 * Kills (SIGKILL) a controller that waits for the answer to a served call. No later code of the controller
 * runs.
 * @returns its job
 */
export async function killAt(
  stage: Pick<Stage, "lab">,
  moment: LabFault,
  start: () => RunningProgram,
): Promise<string> {
  const run = await startUntil(stage, moment, start);
  run.process.kill("SIGKILL");
  const { signal, stdout, stderr } = await run.result;
  await stage.lab.control.clearFaults();
  assert.equal(signal, "SIGKILL", stdout + stderr);
  return /job (job-\S+),/.exec(stderr)?.[1] ?? "";
}

/**
 * Starts a controller, and returns when it waits for the answer to a call. It continues when the lab's faults
 * are cleared.
 */
export async function startUntil(
  { lab: { control } }: Pick<Stage, "lab">,
  moment: LabFault,
  start: () => RunningProgram,
): Promise<RunningProgram> {
  await control.addFault({ ...moment, effect: "withhold-answer" });
  const run = start();
  const waits = async () => {
    await delay(POLL_MS);
    return run.process.exitCode !== null || (await control.withheld()) > 0;
  };
  await waitUntil(`${moment.action} to be called`, waits, TIMEOUT_MS);
  return run;
}
