import assert from "node:assert/strict";
import { after } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { JournalRecord } from "../../controller/run/read-journals.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { journalKey } from "../../repository/jobs/job-key.js";
import { launch } from "../lab/instances.js";
import { REPOSITORY } from "../lab/lab.js";
import type { LabFault, LabResources } from "../lab/lab-control.js";
import { createVolume, snapshotInstance } from "../lab/volume-steps.js";
import { volumeReaches } from "../lab/waits.js";
import { fullDepthOnly } from "../support/depth.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { during } from "./fault-kinds.js";
import { amid, doneWith, killAt } from "./kill.js";
import { journalOf, openStage, type Stage, startAfterwards, startBackup } from "./stage.js";
import type { Way } from "./ways.js";

/** A way with every step that makes a resource in EC2. */
const WAY: Way = {
  ...{ name: "with all steps", route: "cross-account-region", volumes: "customer" },
  ...{ worker: { account: "worker", region: "eu-west-1", kind: "launched" }, bridge: "none" },
  access: ["--source-profile", "source", "--worker-aws-profile", "worker"],
};
const INVISIBLE_MS = 500;
/** Longer than ids are invisible, by the delay of a busy machine. */
const WINDOW = { BLOCKFERRY_VISIBLE_TIMEOUT_MS: "2000" };
const UNAUTHORIZED = { code: "UnauthorizedOperation", message: "You are not authorized.", status: 403 };

let opened: Promise<Stage> | undefined;
after(async () => (await opened)?.lab.stop());

/** Returns the stage and its current resources. The first test opens the stage, because it needs root. */
async function stageAsItWas() {
  opened ??= openStage(WAY);
  const stage = await opened;
  return { stage, before: await stage.lab.control.resources() };
}

const HALF_MADE: Record<string, LabFault[]> = {
  "create-snapshots": [
    { action: "CreateSnapshots", effect: "lose-answer" },
    { action: "CreateSnapshots", after: 1, error: UNAUTHORIZED },
  ],
  "copy-shared-snapshots": [{ action: "CopySnapshot", after: 1, error: UNAUTHORIZED }],
  "launch-worker": [
    { action: "RunInstances", effect: "lose-answer" },
    { action: "RunInstances", after: 1, error: UNAUTHORIZED },
  ],
  "create-volumes": [{ action: "CreateVolume", after: 1, error: UNAUTHORIZED }],
};

for (const [step, faults] of Object.entries(HALF_MADE)) {
  rootTest(
    `what ${step} has made and EC2 does not show yet is removed when it fails`,
    fullDepthOnly,
    async () => {
      const { stage, before } = await stageAsItWas();
      const { control } = stage.lab;
      for (const fault of faults) await control.addFault(during({ step, next: undefined }, fault));
      await control.change({ invisibleMs: INVISIBLE_MS });
      const result = await startBackup(stage, undefined, WINDOW).result;
      await control.change({ invisibleMs: 0 });
      await control.clearFaults();
      assert.equal(failure(1, result).code, "AwsAccessDenied", result.stderr);
      assert.deepEqual(await control.resources(), before);
    },
  );
}

rootTest(
  "a backup gets over what EC2 does not show for a moment, or shows and then does not",
  fullDepthOnly,
  async () => {
    const { stage, before } = await stageAsItWas();
    const { control } = stage.lab;
    await control.change({ invisibleMs: INVISIBLE_MS });
    const flaps = [
      ["create-snapshots", "DescribeSnapshots", 3],
      ["copy-shared-snapshots", "DescribeSnapshots", 3],
      ["create-volumes", "DescribeVolumes", 3],
      ["attach-volumes", "DescribeInstances", 1],
      ["run-job", "DescribeInstances", 2],
    ] as const;
    for (const [step, action, passing] of flaps)
      await control.addFault(
        during({ step, next: undefined }, { action, after: passing, effect: "list-nothing" }),
      );
    const { code, stdout, stderr } = await startBackup(stage, undefined, WINDOW).result;
    await control.change({ invisibleMs: 0 });
    await control.clearFaults();
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(await control.resources(), before);
  },
);

rootTest("resume takes snapshots anew when EC2 shows not all that were taken", fullDepthOnly, async () => {
  const { stage, before } = await stageAsItWas();
  const { control } = stage.lab;
  const job = await killAt(stage, amid({ step: "create-snapshots", next: undefined }), () =>
    startBackup(stage, undefined),
  );
  await control.addFault({ action: "DescribeSnapshots", effect: "list-one" });
  const { code, stdout, stderr } = await startAfterwards(stage, "resume", job).result;
  assert.deepEqual(await control.metFaults(), [1]);
  await control.clearFaults();
  assert.equal(code, 0, stdout + stderr);
  const { snapshots = {} } = (await journalOf(stage, job)).made;
  assert.deepEqual(
    new Set(Object.keys(snapshots)),
    new Set(stage.instance.volumes.map((one) => one.volumeId)),
  );
  assert.deepEqual(await control.resources(), before);
});

rootTest(
  "a resource that a journal names is left alone without the tag of the job",
  fullDepthOnly,
  async () => {
    const { stage, before } = await stageAsItWas();
    const { control } = stage.lab;
    const { workerParty } = stage;
    const job = await killAt(stage, doneWith("create-volumes"), () => startBackup(stage, undefined));
    const made = await control.resources();
    const { InstanceId: workerId = "" } = await launch(workerParty, { ImageId: "ami-0123456789abcdef1" });
    const volume = await createVolume(workerParty, { Size: 1 });
    await volumeReaches(workerParty, volume, "available");
    const [snapshot = ""] = await snapshotInstance(workerParty, workerId);
    const foreign = { workerId, volumes: { other: volume }, workerCopies: { other: snapshot } };
    const record = await journalOf(stage, job);
    await replaceJournal(stage, { ...record, made: { ...record.made, ...foreign } });

    const { code, stderr } = await startAfterwards(stage, "cleanup", "--older-than", "0s").result;
    assert.notEqual(code, 0);
    for (const id of [workerId, volume, snapshot])
      assert.match(stderr, new RegExp(`names ${id}, which lacks`));
    const left = idsOf(await control.resources());
    for (const id of [workerId, volume, snapshot]) assert.ok(left.has(id), `${id} is gone`);
    const existed = idsOf(before);
    for (const id of idsOf(made)) assert.equal(left.has(id), existed.has(id), id);
  },
);

async function replaceJournal({ lab }: Stage, record: JournalRecord): Promise<void> {
  const { hostname: Bucket, pathname } = new URL(REPOSITORY);
  const Key = `${pathname.slice(1)}/${journalKey(record.job, 1)}`;
  await lab.worker.s3.send(new PutObjectCommand({ Bucket, Key, Body: sealJson(record) }));
}

function idsOf({ instances, volumes, snapshots }: LabResources): Set<string> {
  return new Set([...instances, ...volumes, ...snapshots].map(({ id }) => id));
}
