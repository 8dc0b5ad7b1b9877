import assert from "node:assert/strict";
import type { LabFault } from "../lab/lab-control.js";
import { rootTest } from "../support/root-test.js";
import { killAt } from "./kill.js";
import {
  assertRestored,
  besides,
  type Restored,
  type RestoreStage,
  restoreStage,
  start,
  succeed,
  WITHIN,
} from "./restore-stage.js";

/** The moment when the journal has it that the agent is done. */
const FILLED: LabFault = {
  action: "PutObject",
  naming: "/journal.json",
  since: { action: "PutObject", body: '"name":"run-job","state":"done"' },
};
const DENIED = { code: "UnauthorizedOperation", message: "You are not authorized", status: 403 };

rootTest("a restore that is killed when its volumes are filled is completed by resume", async () => {
  const stage = await restoreStage();
  const before = await besides();
  const job = await killAt(stage, FILLED, () => restore(stage, "--volume", "sdf"));
  const { volumes } = JSON.parse(await succeed(start("resume", job))) as Restored;
  await assertRestored(stage, volumes);
  assert.deepEqual(await besides(volumes.map(({ volumeId }) => volumeId)), before);
});

rootTest("a restore that is killed when its volumes are filled leaves what cleanup removes", async () => {
  const stage = await restoreStage();
  const before = await besides();
  const job = await killAt(stage, FILLED, () => restore(stage, "--volume", "sdf"));
  assert.notDeepEqual(await besides(), before);
  const { cleaned } = JSON.parse(await succeed(start("cleanup", "--older-than", "0s")));
  assert.deepEqual(cleaned, [job]);
  assert.deepEqual(await besides(), before);
});

rootTest("a restore that is killed when it has just been delivered keeps what it has made", async () => {
  const stage = await restoreStage();
  const before = await besides();
  const job = await killAt(stage, { action: "DeleteTags" }, () => restore(stage, "--volume", "sdf"));
  await succeed(start("cleanup", "--older-than", "0s"));
  const { outcome, made } = JSON.parse(await succeed(start("status", job)));
  assert.deepEqual(outcome, { ok: true, point: stage.point });
  const volumes = [{ name: "sdf", volumeId: made.volumes.sdf as string }];
  await assertRestored(stage, volumes);
  assert.deepEqual(await besides([made.volumes.sdf]), before);
});

for (const [action, to] of [
  ["CreateSnapshot", "snapshot"],
  ["CreateTags", "volumes"],
  ["DeleteTags", "volumes"],
] as const) {
  rootTest(`a restore whose ${action} is denied leaves nothing behind`, async () => {
    const stage = await restoreStage();
    const { control } = stage.lab;
    const before = await besides();
    await control.addFault({ action, times: 1, error: DENIED });
    const { code, stdout } = await restore(stage, "--volume", "sdf", "--to", to).result;
    assert.deepEqual(await control.metFaults(), [1]);
    await control.clearFaults();
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`AwsAccessDenied.*ec2:${action}`));
    assert.deepEqual(await besides(), before);
  });
}

rootTest("a restore whose agent dies leaves nothing behind", async () => {
  const stage = await restoreStage();
  const { control } = stage.lab;
  const before = await besides();
  await control.addFault({
    ...{ action: "PutObject", naming: "/status.json", effect: "kill-agent", worker: stage.sourceWorker },
  });
  const { code, stdout } = await restore(stage, "--volume", "sdf").result;
  assert.equal(code, 1);
  assert.match(stdout, /WorkerLost/);
  assert.deepEqual(await besides(), before);
});

function restore({ point, sourceWorker }: RestoreStage, ...options: string[]) {
  return start("restore", "--point", point, ...WITHIN, "--worker", sourceWorker, ...options);
}
