import assert from "node:assert/strict";
import { access, readFile } from "node:fs/promises";
import {
  AttachVolumeCommand,
  DeleteVolumeCommand,
  DescribeInstanceTypesCommand,
  DetachVolumeCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { fullDepthOnly } from "../support/depth.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom } from "../support/random-files.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { waitUntil } from "../support/wait-until.js";
import { deviceOf } from "./devices.js";
import { describeInstance, launch } from "./instances.js";
import { launchWorker, makeRepository, startLab } from "./lab.js";
import { launchSource } from "./source-instance.js";
import { attach, createVolume, share, snapshotInstance } from "./volume-steps.js";
import { describeVolume, refused, volumeReaches } from "./waits.js";

const lab = await startLab();
const { source, worker, control, folder } = lab;
await makeRepository(lab);

const emptyInstance = (InstanceType: "m5.large" | "t2.micro" = "m5.large") =>
  launch(worker, { InstanceType, ImageId: "ami-1" });

rootTest(
  "an attached volume is a block device with the disk at the snapshot's moment",
  fullDepthOnly,
  async () => {
    const random = SeededRandom.fresh();
    const { instanceId, volumes } = await launchSource(source, folder, "none", random);
    const { disk } = volumes[1] as { disk: string };
    const { InstanceId = "" } = await emptyInstance();
    const [, snapshot = ""] = await snapshotInstance(source, instanceId);
    await share(source, snapshot, worker.accountId);
    const volume = await createVolume(worker, { SnapshotId: snapshot, VolumeInitializationRate: 100 });
    await attach(worker, volume, InstanceId, "/dev/sdf");
    const device = await deviceOf(folder, InstanceId, volume);
    assert.match(device ?? "", /^\/dev\/loop\d+$/);
    await runTool("cmp", device ?? "", disk);
    await overwriteAtRandom(disk, 4096, 65536, random);
    await assert.rejects(runTool("cmp", device ?? "", disk), "a later write reached the snapshot");
    await worker.ec2.send(new DetachVolumeCommand({ VolumeId: volume }));
    await volumeReaches(worker, volume, "available");
    assert.equal(await deviceOf(folder, InstanceId, volume), undefined);
    await worker.ec2.send(new DeleteVolumeCommand({ VolumeId: volume }));
    await assert.rejects(access(`${folder}/disks/${volume}.img`));
  },
);

// "The maximum number of Amazon EBS volumes that you can attach to an instance depends on the instance type.
// If you exceed the volume attachment limit for an instance type, the attachment request fails with the
// AttachmentLimitExceeded error."
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html
rootTest("attaching has its rules: state, zone, device name, limit", async () => {
  const { InstanceId = "" } = await emptyInstance();
  const attachTo = (VolumeId: string, Device: string) =>
    worker.ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId, Device }));
  await control.change({ latencyMs: 1000 });
  const first = await createVolume(worker, { Size: 1 });
  await refused(attachTo(first, "/dev/sdf"), "IncorrectState");
  await control.change({ latencyMs: 100 });
  const second = await createVolume(worker, { Size: 1 });
  const elsewhere = await createVolume(worker, { Size: 1, AvailabilityZone: "us-east-1b" });
  await volumeReaches(worker, elsewhere, "available");
  await refused(attachTo(elsewhere, "/dev/sdf"), "InvalidVolume.ZoneMismatch");
  await attach(worker, first, InstanceId, "/dev/sdf");
  await refused(attachTo(first, "/dev/sdg"), "VolumeInUse");
  await refused(attachTo(second, "/dev/sdf"), "InvalidParameterValue");
  await control.change({ attachLimit: 2 });
  await refused(attachTo(second, "/dev/sdg"), "AttachmentLimitExceeded");
  await control.change({ attachLimit: null });
  await attach(worker, second, InstanceId, "/dev/sdg");
});

rootTest("an instance type says how many volumes it takes, and whether they are NVMe", async () => {
  const { InstanceTypes = [] } = await worker.ec2.send(
    new DescribeInstanceTypesCommand({ InstanceTypes: ["m7i.large", "t2.micro"] }),
  );
  const byType = new Map(InstanceTypes.map(({ InstanceType, EbsInfo }) => [InstanceType, EbsInfo]));
  assert.equal(byType.get("m7i.large")?.MaximumEbsAttachments, 32);
  assert.equal(byType.get("m7i.large")?.NvmeSupport, "required");
  assert.equal(byType.get("t2.micro")?.NvmeSupport, "unsupported");
});

rootTest("a Xen instance has its volumes by attach name, without a serial", async () => {
  const { InstanceId = "" } = await emptyInstance("t2.micro");
  const volume = await createVolume(worker, { Size: 1 });
  await attach(worker, volume, InstanceId, "/dev/sdf");
  await access(`${folder}/instances/${InstanceId}/dev/xvdf`);
  await assert.rejects(access(`${folder}/instances/${InstanceId}/sys/block/xvdf/device/serial`));
});

rootTest("an attachment can hang for ever", async () => {
  const { InstanceId = "" } = await emptyInstance();
  const volume = await createVolume(worker, { Size: 1 });
  await volumeReaches(worker, volume, "available");
  await control.addFault({ action: "AttachVolume", effect: "never-attach" });
  const command = new AttachVolumeCommand({ InstanceId, VolumeId: volume, Device: "/dev/sdf" });
  assert.equal((await worker.ec2.send(command)).State, "attaching");
  await control.change({ latencyMs: 10 });
  const other = await createVolume(worker, { Size: 1 });
  await attach(worker, other, InstanceId, "/dev/sdg");
  await control.change({ latencyMs: 100 });
  assert.equal((await describeVolume(worker, volume))?.Attachments?.[0]?.State, "attaching");
});

// "All attached Amazon EBS volumes that are configured to be deleted on termination are also permanently
// deleted", "Volumes attached after instance launch continue running."
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
rootTest(
  "terminating ends the agent, deletes the root, and frees volumes that were attached later",
  async () => {
    const id = await launchWorker(lab, worker);
    const root = (await describeInstance(worker, id))?.BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? "";
    const later = await createVolume(worker, { Size: 1 });
    await attach(worker, later, id, "/dev/sdf");
    const pid = (await control.resources()).agents[id] ?? 0;
    process.kill(pid, 0);
    await worker.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
    await refused(describeVolume(worker, root), "InvalidVolume.NotFound");
    assert.equal((await describeVolume(worker, later))?.State, "available");
    assert.equal((await describeInstance(worker, id))?.State?.Name, "terminated");
    assert.equal((await control.resources()).loopDevices[later], undefined);
  },
);

rootTest("an agent can be killed alone, and a spot instance reclaimed", async () => {
  const id = await launchWorker(lab, worker);
  const firstPid = (await control.resources()).agents[id] ?? 0;
  await control.strike("kill-agent", id);
  await waitUntil("the agent to be gone", async () => (await control.resources()).agents[id] === undefined);
  assert.throws(() => process.kill(firstPid, 0), { code: "ESRCH" });
  assert.equal((await describeInstance(worker, id))?.State?.Name, "running");
  await control.strike("spot-interrupt", id);
  await waitUntil("the instance to be reclaimed", async () => {
    return (await describeInstance(worker, id))?.State?.Name === "terminated";
  });
});

// IMDSv2 requires a token, obtained by PUT, with each request: without one the answer is 401 Unauthorized.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
rootTest("an instance's metadata need a token, and hold its id, user data and role", async () => {
  const id = await launchWorker(lab, worker);
  const pid = (await control.resources()).agents[id];
  const environment = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
  const url = environment
    .find((entry) => entry.startsWith("AWS_EC2_METADATA_SERVICE_ENDPOINT="))
    ?.split("=")[1];
  const get = (path: string, token = "") =>
    fetch(`${url}/latest/${path}`, { headers: { "x-aws-ec2-metadata-token": token } });
  assert.equal((await get("meta-data/instance-id")).status, 401);
  const headers = { "x-aws-ec2-metadata-token-ttl-seconds": "60" };
  const token = await (await fetch(`${url}/latest/api/token`, { method: "PUT", headers })).text();
  assert.equal(await (await get("meta-data/instance-id", token)).text(), id);
  const userData = (await (await get("user-data", token)).json()) as { blockferry: { repo: string } };
  assert.match(userData.blockferry.repo, /^s3:/);
  const role = await (await get("meta-data/iam/security-credentials/", token)).text();
  assert.equal(role, "blockferry-agent");
  const credentials = await (await get(`meta-data/iam/security-credentials/${role}`, token)).json();
  assert.equal((credentials as { Code: string }).Code, "Success");
});
