import assert from "node:assert/strict";
import { after } from "node:test";
import { rootTest } from "../support/root-test.js";
import { startAfterwards, startBackup } from "./bench.js";
import { doneWith, killAt, startUntil } from "./kill.js";
import { openWorkshop, type Workshop } from "./lanes.js";
import { WAYS } from "./ways.js";

let opened: Promise<Workshop> | undefined;
after(async () => (await opened)?.bench.lab.stop());

/** Made by the first test, as it takes root. */
async function workshop() {
  const way = WAYS.find(({ name }) => name === "across accounts");
  assert.ok(way !== undefined);
  opened ??= openWorkshop(way);
  const { bench, worker } = await opened;
  const before = await bench.lab.control.resources();
  return { bench, before, start: () => startBackup(bench, worker) };
}

rootTest("cleanup leaves alone what has stopped too short a time ago", async () => {
  const { bench, before, start } = await workshop();
  const job = await killAt(bench, doneWith("create-volumes"), start);
  const { stdout } = await startAfterwards(bench, "cleanup").result;
  assert.deepEqual(JSON.parse(stdout), { cleaned: [], left: [job], problems: [] });
  assert.notDeepEqual(await bench.lab.control.resources(), before);
  await startAfterwards(bench, "cleanup", "--older-than", "0s").result;
  assert.deepEqual(await bench.lab.control.resources(), before);
});

rootTest("a job that is cancelled after its controller died is undone by resume", async () => {
  const { bench, before, start } = await workshop();
  const job = await killAt(bench, doneWith("attach-volumes"), start);
  await startAfterwards(bench, "cancel", job).result;
  const { code, stdout } = await startAfterwards(bench, "resume", job).result;
  assert.equal(code, 1, stdout);
  assert.equal(JSON.parse(stdout).error.code, "Cancelled");
  assert.deepEqual(await bench.lab.control.resources(), before);
});

rootTest("Ctrl-C in a backup removes everything, and exits with 130", async () => {
  const { bench, before, start } = await workshop();
  const run = await startUntil(bench, doneWith("attach-volumes"), start);
  run.process.kill("SIGINT");
  await bench.lab.control.clearFaults();
  const { code, stderr } = await run.result;
  assert.equal(code, 130, stderr);
  assert.deepEqual(await bench.lab.control.resources(), before);
});
