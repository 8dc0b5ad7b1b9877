import assert from "node:assert/strict";
import { describeInstance } from "../lab/instances.js";
import { describeSnapshot, describeVolume } from "../lab/waits.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { fullDepthOnly } from "../support/depth.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import {
  ACROSS,
  assertRestored,
  assertSameContent,
  besides,
  originalOf,
  type Restored,
  restoreStage,
  start,
  succeed,
  WITHIN,
} from "./restore-stage.js";

rootTest("a restore creates detached volumes like the original ones, and leaves nothing else", async () => {
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
});

rootTest("a restore of one volume to a snapshot leaves the snapshot alone", fullDepthOnly, async () => {
  const { lab, instance, point, sourceWorker } = await restoreStage();
  const before = await besides();
  const snapshots = await toSnapshots(...WITHIN, "--worker", sourceWorker);
  const [{ snapshotId } = { snapshotId: "" }] = snapshots;
  await assertSameContent(snapshotId, originalOf(instance, "sdf").disk);
  const { State, Tags = [] } = (await describeSnapshot(lab.source, snapshotId)) ?? {};
  assert.equal(State, "completed");
  const tags = Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
  assert.equal(tags.Name, "orders");
  assert.equal(tags["blockferry:restored-from"], `${point}/sdf`);
  assert.equal(tags["blockferry:job"], undefined);
  assert.deepEqual(await besides([snapshotId]), before);
});

rootTest(
  "a restore from a worker of another account makes volumes in the one that is named",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const { lab, worker, workerKey } = stage;
    const before = await besides();
    const args = [
      "restore",
      "--point",
      stage.point,
      ...ACROSS,
      "--worker",
      worker,
      "--volume-key",
      workerKey,
    ];
    const { volumes } = JSON.parse(await succeed(start(...args, "--zone", "us-east-1b"))) as Restored;
    assert.equal(volumes.length, 2);
    await assertRestored(stage, volumes);
    for (const { volumeId } of volumes) {
      const { AvailabilityZone, KmsKeyId } = (await describeVolume(lab.source, volumeId)) ?? {};
      assert.equal(AvailabilityZone, "us-east-1b");
      assert.match(KmsKeyId ?? "", /:111111111111:key\//);
    }
    assert.deepEqual(await besides(volumes.map(({ volumeId }) => volumeId)), before);
  },
);

rootTest("a restore to a snapshot of another account copies it there", fullDepthOnly, async () => {
  const { lab, instance, worker, workerKey } = await restoreStage();
  const before = await besides();
  const snapshots = await toSnapshots(...ACROSS, "--worker", worker, "--volume-key", workerKey);
  const [{ snapshotId } = { snapshotId: "" }] = snapshots;
  await assertSameContent(snapshotId, originalOf(instance, "sdf").disk);
  const { OwnerId, KmsKeyId } = (await describeSnapshot(lab.source, snapshotId)) ?? {};
  assert.equal(OwnerId, lab.source.accountId);
  assert.match(KmsKeyId ?? "", /:111111111111:key\//);
  assert.deepEqual(await besides([snapshotId]), before);
});

rootTest("a restore to an instance starts one like it from the restored volumes", fullDepthOnly, async () => {
  const { lab, instance, sourceWorker } = await restoreStage();
  const { source } = lab;
  const image = await registerWorkerImage(source);
  const before = await besides();
  const args = ["restore", "--point", "latest", ...WITHIN, "--worker", sourceWorker, "--to", "instance"];
  const own = ["--ami", image, "--subnet", await defaultSubnet(source), "--tag", "drill=yes"];
  await lab.control.clearRequests();
  const { volumes, instanceId = "" } = JSON.parse(await succeed(start(...args, ...own))) as Restored;
  const [was, is] = await Promise.all([
    describeInstance(source, instance.instanceId),
    describeInstance(source, instanceId),
  ]);
  assert.equal(is?.State?.Name, "running");
  assert.equal(is?.InstanceType, was?.InstanceType);
  const mappings = (is?.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [
    DeviceName,
    Ebs?.VolumeId,
    Ebs?.DeleteOnTermination,
  ]);
  const idOf = (wanted: string) => volumes.find(({ name }) => name === wanted)?.volumeId;
  assert.deepEqual(mappings.sort(), [
    ["/dev/sda1", idOf("root"), true],
    ["/dev/sdf", idOf("sdf"), false],
  ]);
  const tags = Object.fromEntries((is?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
  assert.deepEqual([tags.Name, tags.drill, tags["blockferry:job"]], ["production", "yes", undefined]);
  for (const { name, volumeId } of volumes) {
    const device = (await lab.control.resources()).loopDevices[volumeId] ?? "";
    await runTool("cmp", device, originalOf(instance, name).disk);
  }
  const [launched] = (await lab.control.requests()).filter(
    ({ action, parameters }) => action === "RunInstances" && parameters.DryRun !== "true",
  );
  assert.equal(launched?.parameters["MetadataOptions.HttpTokens"], "required");
  assert.deepEqual(await besides([instanceId, ...volumes.map(({ volumeId }) => volumeId)]), before);
});

rootTest(
  "a restore to an instance that cannot start leaves neither it nor volumes",
  fullDepthOnly,
  async () => {
    const { lab, sourceWorker } = await restoreStage();
    const { source, control } = lab;
    const before = await besides();
    const args = ["restore", "--point", "latest", ...WITHIN, "--worker", sourceWorker, "--to", "instance"];
    const own = ["--ami", await registerWorkerImage(source), "--subnet", await defaultSubnet(source)];
    const error = { code: "InsufficientInstanceCapacity", message: "No capacity", status: 500 };
    await control.addFault({ action: "StartInstances", error });
    const { code, stdout } = await start(...args, ...own).result;
    assert.equal(code, 1);
    assert.match(stdout, /AwsOutOfCapacity/);
    assert.deepEqual(await besides(), before);
  },
);

rootTest(
  "restored volumes are attached to an instance under names that it does not use",
  fullDepthOnly,
  async () => {
    const { lab, instance, sourceWorker } = await restoreStage();
    const before = await besides();
    const args = ["restore", "--point", "latest", "--volume", "sdf", ...WITHIN, "--worker", sourceWorker];
    const { volumes } = JSON.parse(
      await succeed(start(...args, "--attach-to", instance.instanceId)),
    ) as Restored;
    const [{ volumeId, device } = { volumeId: "", device: null }] = volumes;
    assert.equal(device, "/dev/sdg");
    const [attachment] = (await describeVolume(lab.source, volumeId))?.Attachments ?? [];
    assert.deepEqual(
      [attachment?.InstanceId, attachment?.State, attachment?.Device],
      [instance.instanceId, "attached", "/dev/sdg"],
    );
    assert.deepEqual(await besides([volumeId]), before);
  },
);

/** Restores the data volume. */
async function toSnapshots(...args: string[]): Promise<{ name: string; snapshotId: string }[]> {
  const restore = ["restore", "--point", "latest", "--volume", "sdf", "--to", "snapshot", ...args];
  const { snapshots } = JSON.parse(await succeed(start(...restore)));
  assert.deepEqual(
    snapshots.map(({ name }: { name: string }) => name),
    ["sdf"],
  );
  return snapshots;
}

rootTest(
  "an impossible restore is refused with all problems, and creates nothing",
  fullDepthOnly,
  async () => {
    const { worker, instance } = await restoreStage();
    const before = await besides();
    const restore = ["restore", "--point", "latest", ...ACROSS, "--worker", worker];
    const refusals: [string[], string[]][] = [
      [
        ["--volume", "sdz"],
        ["--volume sdz", "Its volumes are root, sdf", "--volume-key ARN"],
      ],
      [["--source-region", "eu-west-1", "--worker-region", "us-east-1"], ["copy-snapshot"]],
      // The image and subnet of the lab's instance do not exist.
      [
        ["--to", "instance"],
        ["ami-0123456789abcdef0", "--ami"],
      ],
      [["--attach-to", "i-00000000000000000", "--zone", "us-east-1b"], ["--attach-to"]],
      [
        ["--attach-to", instance.instanceId, "--zone", "us-east-1f"],
        ["--zone is in us-east-1f", "--attach-to is in"],
      ],
    ];
    for (const [options, said] of refusals) {
      const { code, stdout } = await start(...restore, ...options).result;
      assert.notEqual(code, 0);
      for (const part of said) assert.ok(stdout.includes(part), `${part}\n${stdout}`);
    }
    assert.deepEqual(await besides(), before);
  },
);

rootTest(
  "a check of a restore lists the resources it would create and need, and creates nothing",
  fullDepthOnly,
  async () => {
    const { point, sourceWorker } = await restoreStage();
    const before = await besides();
    const args = ["restore", "--point", "latest", ...WITHIN, "--worker", sourceWorker, "--check"];
    const report = JSON.parse(await succeed(start(...args, "--volume", "sdf")));
    assert.deepEqual([report.ok, report.problems, report.point], [true, [], point]);
    assert.deepEqual(
      report.steps.map(({ name }: { name: string }) => name),
      ["create-blank-volumes", "attach-volumes", "run-job", "detach-volumes", "deliver"],
    );
    assert.ok(report.permissions.source.includes("ec2:DeleteTags"));
    assert.deepEqual(await besides(), before);
  },
);
