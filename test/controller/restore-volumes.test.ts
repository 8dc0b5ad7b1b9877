import assert from "node:assert/strict";
import { describeVolume } from "../lab/waits.js";
import { rootTest } from "../support/root-test.js";
import {
  assertRestored,
  besides,
  type Restored,
  restoreStage,
  start,
  succeed,
  WITHIN,
} from "./restore-stage.js";

rootTest(
  "a restore makes volumes like those that were backed up, detached, and leaves nothing else",
  async () => {
    const stage = await restoreStage();
    const before = await besides();
    const args = ["restore", "--point", "latest", ...WITHIN, "--worker", stage.sourceWorker];
    const { job, point, volumes } = JSON.parse(await succeed(start(...args))) as Restored;
    assert.equal(point, stage.point);
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ["root", "sdf"],
    );
    await assertRestored(stage, volumes);
    for (const { name, volumeId } of volumes) {
      const { State, Encrypted, Tags = [] } = (await describeVolume(stage.lab.source, volumeId)) ?? {};
      assert.deepEqual([State, Encrypted], ["available", true]);
      const tags = Tags.filter(({ Key = "" }) => Key.startsWith("blockferry:"));
      assert.deepEqual(
        new Map(tags.map(({ Key, Value }) => [Key, Value])),
        new Map([
          ["blockferry:restored-from", `${point}/${name}`],
          ["blockferry:restored-by", job],
        ]),
      );
    }
    assert.deepEqual(await besides(volumes.map(({ volumeId }) => volumeId)), before);
  },
);
