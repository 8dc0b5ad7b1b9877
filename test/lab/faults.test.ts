import assert from "node:assert/strict";
import { DescribeVolumesCommand, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { DescribeKeyCommand, EnableKeyCommand } from "@aws-sdk/client-kms";
import { CreateBucketCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { rootTest } from "../support/root-test.js";
import { waitUntil } from "../support/wait-until.js";
import { describeInstance, launch } from "./instances.js";
import { startLab } from "./lab.js";
import { createKey } from "./lab-keys.js";
import { createVolume } from "./volume-steps.js";
import { refused } from "./waits.js";
import { registerWorkerImage } from "./worker-image.js";

const lab = await startLab();
const { worker, control } = lab;
const Bucket = "faults";
const describe = () => worker.ec2.send(new DescribeVolumesCommand({}));

rootTest("a fault begins with the call whose body has a text in it", async () => {
  await worker.s3.send(new CreateBucketCommand({ Bucket }));
  const write = (Body: string) =>
    worker.s3.send(new PutObjectCommand({ Bucket, Key: "repo/jobs/1/journal.json", Body }));
  await control.addFault({
    ...{ action: "DescribeVolumes", effect: "throttle" },
    since: { action: "PutObject", body: '"state":"running"' },
  });
  await write('{"state":"pending"}');
  await describe();
  await write('{"state":"running"}');
  await refused(describe(), "RequestLimitExceeded");
  assert.deepEqual(await control.metFaults(), [1]);
  await control.clearFaults();
});

rootTest("a fault can mean calls that name something", async () => {
  const [one, other] = [await createVolume(worker, { Size: 1 }), await createVolume(worker, { Size: 1 })];
  await control.addFault({ action: "DescribeVolumes", naming: other, effect: "throttle" });
  await worker.ec2.send(new DescribeVolumesCommand({ VolumeIds: [one] }));
  const named = worker.ec2.send(new DescribeVolumesCommand({ VolumeIds: [other] }));
  await refused(named, "RequestLimitExceeded");
  await control.clearFaults();
});

rootTest("an answer is lost or withheld, and the call served all the same", async () => {
  const volumes = async () => (await control.resources()).volumes.length;
  const before = await volumes();
  await control.addFault({ action: "CreateVolume", effect: "lose-answer" });
  await assert.rejects(createVolume(worker, { Size: 1 }), { code: "ECONNRESET" });
  assert.equal(await volumes(), before + 1);
  await control.addFault({ action: "CreateVolume", effect: "withhold-answer" });
  const answer = createVolume(worker, { Size: 1 });
  await waitUntil("the call to be served", async () => (await control.withheld()) === 1);
  assert.equal(await volumes(), before + 2);
  await control.clearFaults();
  assert.match(await answer, /^vol-/);
  assert.equal(await control.withheld(), 0);
});

rootTest(
  "a key is disabled with a call, and an instance whose root needs it ends at its launch",
  async () => {
    const key = await createKey(worker);
    await control.addFault({ action: "RunInstances", effect: "disable-key", key });
    const command = new RunInstancesCommand({
      ...{ ImageId: await registerWorkerImage(worker), MinCount: 1, MaxCount: 1, InstanceType: "m5.large" },
      BlockDeviceMappings: [
        { DeviceName: "/dev/sda1", Ebs: { Encrypted: true, KmsKeyId: key, DeleteOnTermination: true } },
      ],
    });
    const { Instances: [launched] = [] } = await worker.ec2.send(command);
    const id = launched?.InstanceId ?? "";
    const { KeyMetadata } = await worker.kms.send(new DescribeKeyCommand({ KeyId: key }));
    assert.equal(KeyMetadata?.KeyState, "Disabled");
    await waitUntil("the launch to fail", async () => {
      return (await describeInstance(worker, id))?.State?.Name === "terminated";
    });
    assert.equal((await describeInstance(worker, id))?.StateReason?.Code, "Client.InternalError");
    await worker.kms.send(new EnableKeyCommand({ KeyId: key }));
  },
);

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
rootTest("an instance that Spot takes back says so", async () => {
  const { InstanceId: id = "" } = await launch(worker, { ImageId: "ami-0123456789abcdef1" });
  await control.strike("spot-interrupt", id);
  await waitUntil("the instance to be reclaimed", async () => {
    return (await describeInstance(worker, id))?.State?.Name === "terminated";
  });
  const reason = (await describeInstance(worker, id))?.StateReason;
  assert.equal(reason?.Code, "Server.SpotInstanceTermination");
});
