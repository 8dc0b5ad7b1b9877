import assert from "node:assert/strict";
import { once } from "node:events";
import { after } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { rootTest } from "../support/root-test.js";
import { doneWith, killAt, startUntil } from "./kill.js";
import { openWorkshop, type Workshop } from "./lanes.js";
import { startAfterwards, startBackup } from "./stage.js";
import { WAYS } from "./ways.js";

let opened: Promise<Workshop> | undefined;
after(async () => (await opened)?.stage.lab.stop());

/** Called by the first test, because it needs root. */
async function workshop() {
  const way = WAYS.find(({ name }) => name === "across accounts");
  assert.ok(way !== undefined);
  opened ??= openWorkshop(way);
  const { stage, worker } = await opened;
  const before = await stage.lab.control.resources();
  return { stage, before, start: () => startBackup(stage, worker) };
}

rootTest("cleanup leaves jobs alone that stopped too recently", fullDepthOnly, async () => {
  const { stage, before, start } = await workshop();
  const job = await killAt(stage, doneWith("create-volumes"), start);
  const { stdout } = await startAfterwards(stage, "cleanup").result;
  assert.deepEqual(JSON.parse(stdout), { cleaned: [], left: [job], problems: [], removed: [] });
  assert.notDeepEqual(await stage.lab.control.resources(), before);
  await startAfterwards(stage, "cleanup", "--older-than", "0s").result;
  assert.deepEqual(await stage.lab.control.resources(), before);
});

rootTest("a job that is cancelled after its controller died is undone by resume", fullDepthOnly, async () => {
  const { stage, before, start } = await workshop();
  const job = await killAt(stage, doneWith("attach-volumes"), start);
  await startAfterwards(stage, "cancel", job).result;
  const { code, stdout } = await startAfterwards(stage, "resume", job).result;
  assert.equal(code, 1, stdout);
  assert.equal(JSON.parse(stdout).error.code, "Cancelled");
  assert.deepEqual(await stage.lab.control.resources(), before);
});

rootTest(
  "a terminal that is closed under a backup does not keep it from removing everything",
  fullDepthOnly,
  async () => {
    const { stage, before, start } = await workshop();
    const run = await startUntil(stage, doneWith("create-volumes"), start);
    // As when a terminal closes: its output has no reader, and both the kernel and the shell send SIGHUP.
    run.process.stderr?.destroy();
    run.process.stdout?.destroy();
    run.process.kill("SIGHUP");
    run.process.kill("SIGHUP");
    await stage.lab.control.clearFaults();
    const [code] = await once(run.process, "exit");
    assert.equal(code, 130);
    assert.deepEqual(await stage.lab.control.resources(), before);
  },
);

rootTest("Ctrl-C in a backup removes everything, and exits with 130", async () => {
  const { stage, before, start } = await workshop();
  const run = await startUntil(stage, doneWith("attach-volumes"), start);
  run.process.kill("SIGINT");
  await stage.lab.control.clearFaults();
  const { code, stdout, stderr } = await run.result;
  assert.equal(code, 130, stderr);
  assert.match(stderr, /Interrupted; removing the temporary resources\./);
  assert.match(stdout, /Interrupted: the job made no recovery point\./);
  assert.deepEqual(await stage.lab.control.resources(), before);
});
