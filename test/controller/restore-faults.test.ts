import assert from "node:assert/strict";
import { DeleteVolumeCommand } from "@aws-sdk/client-ec2";
import type { LabFault } from "../lab/lab-control.js";
import { describeVolume } from "../lab/waits.js";
import { fullDepthOnly } from "../support/depth.js";
import { rootTest } from "../support/root-test.js";
import { ENDLESS } from "./fault-kinds.js";
import { killAt } from "./kill.js";
import {
  assertRestored,
  besides,
  type Restored,
  type RestoreStage,
  restoreStage,
  start,
  startWith,
  succeed,
  WITHIN,
} from "./restore-stage.js";

/** The moment when the journal records that the agent is done. */
const FILLED: LabFault = {
  action: "PutObject",
  naming: "/journal.json",
  since: { action: "PutObject", body: '"name":"run-job","state":"done"' },
};
const DENIED = { code: "UnauthorizedOperation", message: "You are not authorized", status: 403 };

rootTest(
  "a restore that is killed when its volumes are filled is completed by resume",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const before = await besides();
    const job = await killAt(stage, FILLED, () => restore(stage, "--volume", "sdf"));
    const { volumes } = JSON.parse(
      await succeed(start("resume", job, "--source-profile", "source")),
    ) as Restored;
    await assertRestored(stage, volumes);
    assert.deepEqual(await besides(volumes.map(({ volumeId }) => volumeId)), before);
  },
);

rootTest(
  "a restore that is killed when its volumes are filled leaves what cleanup removes",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const before = await besides();
    const job = await killAt(stage, FILLED, () => restore(stage, "--volume", "sdf"));
    assert.notDeepEqual(await besides(), before);
    const { cleaned } = JSON.parse(
      await succeed(start("cleanup", "--older-than", "0s", "--source-profile", "source")),
    );
    assert.deepEqual(cleaned, [job]);
    assert.deepEqual(await besides(), before);
  },
);

rootTest(
  "a restore that is killed when it has just been delivered keeps what its owner has kept",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const { control, source } = stage.lab;
    const before = await besides();
    const job = await killAt(stage, { action: "DeleteTags" }, () => restore(stage));
    const { made } = JSON.parse(await succeed(start("status", job)));
    const { root, sdf } = made.volumes as { root: string; sdf: string };

    await control.addFault({ action: "DescribeVolumes", times: ENDLESS, error: DENIED });
    const { code } = await start("cleanup", "--older-than", "0s", "--source-profile", "source").result;
    await control.clearFaults();
    assert.equal(code, 1);
    assert.ok((await describeVolume(source, sdf)) !== undefined, "what may have been delivered was removed");

    await source.ec2.send(new DeleteVolumeCommand({ VolumeId: root }));
    await control.addFault({ action: "DescribeVolumes", times: 2, effect: "stale-tags" });
    // Longer than two answers take on a busy machine.
    const window = { BLOCKFERRY_VISIBLE_TIMEOUT_MS: "5000" };
    await succeed(startWith(window, "cleanup", "--older-than", "0s", "--source-profile", "source"));
    assert.deepEqual(await control.metFaults(), [2]);
    await control.clearFaults();
    const { outcome } = JSON.parse(await succeed(start("status", job)));
    assert.deepEqual(outcome, { ok: true, point: stage.point });
    await assertRestored(stage, [{ name: "sdf", volumeId: sdf }]);
    assert.deepEqual(await besides([sdf]), before);
  },
);

rootTest(
  "delivered resources of a restore stay, though EC2 shows them as the job's all the time",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const { control } = stage.lab;
    const before = await besides();
    const since = { action: "PutObject", body: '"name":"deliver","state":"done"' };
    await control.addFault({ action: "DescribeVolumes", times: ENDLESS, since, effect: "stale-tags" });
    const { volumes } = JSON.parse(await succeed(restore(stage))) as Restored;
    assert.ok(((await control.metFaults())[0] ?? 0) > 0);
    await control.clearFaults();
    assert.equal(volumes.length, 2);
    await assertRestored(stage, volumes);
    assert.deepEqual(await besides(volumes.map(({ volumeId }) => volumeId)), before);
  },
);

for (const [action, to] of [
  ["CreateSnapshot", "snapshot"],
  ["CreateTags", "volumes"],
  ["DeleteTags", "volumes"],
] as const) {
  rootTest(`a restore whose ${action} is denied leaves nothing behind`, fullDepthOnly, async () => {
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

rootTest("a restore whose agent dies leaves nothing behind", fullDepthOnly, async () => {
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
