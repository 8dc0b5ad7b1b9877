import assert from "node:assert/strict";
import { readJournal } from "../../controller/journal.js";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { populate, REPOSITORY, startLab } from "../lab/lab.js";
import { controller, startController } from "../support/controller.js";
import { rootTest } from "../support/root-test.js";

/** Titles of the steps across accounts, each as the line begins that says that it is done. */
const STEPS = [
  "Taking snapshots",
  "Sharing the snapshots",
  "Making encrypted volumes",
  "Attaching the volumes",
  "Backing up",
];

const lab = await startLab();
const population = await populate(lab);
const env = { ...lab.env, BLOCKFERRY_POLL_MS: "100", BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "10000" };
await lab.control.change({ latencyMs: 300 });
const before = await lab.control.resources();
const backup = [
  ...["backup", "--repo", REPOSITORY, "--source-profile", "source"],
  ...["--instance", population.customerKey.instanceId, "--worker", population.workerId],
];

for (const step of STEPS) {
  rootTest(`a controller that is killed after '${step}' is taken up by resume`, async () => {
    const job = await killAfter(step);
    const { code, stdout, stderr } = await controller(["resume", job, "--repo", REPOSITORY, "--json"], env);
    assert.equal(code, 0, stderr + stdout);
    assert.match(JSON.parse(stdout).point, /^\d{8}T\d{6}Z-/);
    assert.deepEqual(await lab.control.resources(), before);
  });

  rootTest(`what a controller leaves that is killed after '${step}' is removed by cleanup`, async () => {
    const job = await killAfter(step);
    const args = ["cleanup", "--older-than", "0s", "--repo", REPOSITORY, "--json"];
    const { code, stdout, stderr } = await controller(args, env);
    assert.equal(code, 0, stderr + stdout);
    assert.deepEqual(JSON.parse(stdout), { cleaned: [job], left: [], problems: [] });
    assert.deepEqual(await lab.control.resources(), before);
  });
}

rootTest("cleanup leaves alone what has stopped too short a time ago", async () => {
  const job = await killAfter("Making encrypted volumes");
  const { stdout } = await controller(["cleanup", "--repo", REPOSITORY, "--json"], env);
  assert.deepEqual(JSON.parse(stdout), { cleaned: [], left: [job], problems: [] });
  assert.notDeepEqual(await lab.control.resources(), before);
  await controller(["cleanup", "--older-than", "0s", "--repo", REPOSITORY], env);
});

rootTest("a job that is cancelled after its controller died is undone by resume", async () => {
  const job = await killAfter("Attaching the volumes");
  await controller(["cancel", job, "--repo", REPOSITORY], env);
  const { code, stdout } = await controller(["resume", job, "--repo", REPOSITORY, "--json"], env);
  assert.equal(code, 1, stdout);
  assert.equal(JSON.parse(stdout).error.code, "Cancelled");
  assert.deepEqual(await lab.control.resources(), before);
});

rootTest("Ctrl-C in a backup removes everything, and exits with 130", async () => {
  let isInterrupted = false;
  const run = startController(backup, env, (stderr) => {
    if (isInterrupted || !stderr.includes("done: Attaching the volumes")) return;
    isInterrupted = run.process.kill("SIGINT");
  });
  const { code, stderr } = await run.result;
  assert.equal(code, 130, stderr);
  assert.deepEqual(await lab.control.resources(), before);
});

/** @returns the job, whose journal tells that it is not finished */
async function killAfter(step: string): Promise<string> {
  const run = startController(backup, env, (stderr) => {
    if (stderr.includes(`done: ${step}`)) run.process.kill("SIGKILL");
  });
  const { stderr, signal } = await run.result;
  assert.equal(signal, "SIGKILL", stderr);
  const job = /job (job-\S+),/.exec(stderr)?.[1] ?? "";
  assert.notEqual((await journalOf(job))?.state, "finished");
  return job;
}

async function journalOf(job: string) {
  Object.assign(process.env, lab.env);
  return readJournal(await openStorage(parseStorageLocation(REPOSITORY)), job);
}
