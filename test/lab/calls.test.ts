import assert from "node:assert/strict";
import {
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { waitUntil } from "../support/wait-until.js";
import { zoneOf } from "./instances.js";
import { startLab } from "./lab.js";
import { launchSource } from "./source-instance.js";
import { createVolume, snapshotInstance } from "./volume-steps.js";
import { describeSnapshot, describeVolume, refused, snapshotReaches, volumeReaches } from "./waits.js";

const lab = await startLab();
const { source, worker, control } = lab;

rootTest("profiles and roles lead to their accounts", async () => {
  for (const party of [source, worker]) {
    const { Account } = await party.sts.send(new GetCallerIdentityCommand({}));
    assert.equal(Account, party.accountId);
  }
  const role = (account: string, name: string) =>
    worker.sts.send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/${name}`, RoleSessionName: "test" }),
    );
  const { AssumedRoleUser } = await role(source.accountId, "blockferry-source");
  assert.match(AssumedRoleUser?.Arn ?? "", /:111111111111:assumed-role\/blockferry-source\/test$/);
  await refused(role(source.accountId, "no-such-role"), "AccessDenied");
});

rootTest("credentials that no account knows are refused", async () => {
  const credentials = { accessKeyId: "AKIAUNKNOWNUNKNOWN00", secretAccessKey: "none" };
  const stranger = new EC2Client({
    endpoint: lab.endpointUrl,
    region: "us-east-1",
    credentials,
    maxAttempts: 1,
  });
  await refused(stranger.send(new DescribeVolumesCommand({})), "AuthFailure");
});

// A call that tags the resources it creates also needs permission for ec2:CreateTags.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
rootTest(
  "a role may do everything that its policy allows, and needs CreateTags to tag new resources",
  async () => {
    const allow = (...actions: string[]) =>
      control.allow(worker.accountId, "blockferry-source", {
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Action: actions, Resource: "*" }],
      });
    const { Credentials } = await worker.sts.send(
      new AssumeRoleCommand({
        RoleArn: `arn:aws:iam::${worker.accountId}:role/blockferry-source`,
        RoleSessionName: "test",
      }),
    );
    const ec2 = new EC2Client({
      endpoint: lab.endpointUrl,
      region: worker.region,
      credentials: {
        accessKeyId: Credentials?.AccessKeyId ?? "",
        secretAccessKey: Credentials?.SecretAccessKey ?? "",
        sessionToken: Credentials?.SessionToken ?? "",
      },
    });
    const create = () =>
      ec2.send(
        new CreateVolumeCommand({
          AvailabilityZone: zoneOf(worker),
          Size: 1,
          TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "a", Value: "b" }] }],
        }),
      );
    await allow("ec2:Describe*");
    await refused(create(), "UnauthorizedOperation");
    await allow("ec2:CreateVolume");
    await refused(create(), "UnauthorizedOperation");
    await allow("ec2:CreateVolume", "ec2:CreateTags");
    const { VolumeId = "" } = await create();
    await volumeReaches(worker, VolumeId, "available");
  },
);

// "If you have the required permissions, the error response is DryRunOperation. Otherwise, it is
// UnauthorizedOperation." https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
rootTest("a dry run makes nothing, and is refused like the real call", async () => {
  const before = await control.resources();
  const dryRun = () => createVolume(worker, { Size: 1, DryRun: true });
  await refused(dryRun(), "DryRunOperation");
  assert.deepEqual(await control.resources(), before);
  const error = { code: "UnauthorizedOperation", message: "You are not authorized", status: 403 };
  await control.addFault({ action: "CreateVolume", dryRun: true, error });
  await refused(dryRun(), "UnauthorizedOperation");
});

// "With an idempotent request, if the original request completes successfully, any subsequent retries
// complete successfully without performing any further actions."
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
rootTest("a client token makes one volume, however often it is asked for", async () => {
  const input = { AvailabilityZone: zoneOf(worker), Size: 1, ClientToken: "token-1" };
  const first = await worker.ec2.send(new CreateVolumeCommand(input));
  const again = await worker.ec2.send(new CreateVolumeCommand(input));
  assert.equal(again.VolumeId, first.VolumeId);
  await refused(
    worker.ec2.send(new CreateVolumeCommand({ ...input, Size: 2 })),
    "IdempotentParameterMismatch",
  );
});

// "If you exceed an API throttling limit, you get the RequestLimitExceeded error code."
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
rootTest("throttling strikes as often as wanted, after as many calls as wanted", async () => {
  await control.addFault({ action: "DescribeVolumes", effect: "throttle", times: 2, after: 1 });
  const describe = () => worker.ec2.send(new DescribeVolumesCommand({}));
  await describe();
  await refused(describe(), "RequestLimitExceeded");
  await refused(describe(), "RequestLimitExceeded");
  await describe();
});

// "the result of an API command you run that affects your Amazon EC2 resources might not be immediately
// visible to all subsequent commands you run":
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
rootTest("a new id may be unknown for a moment, and in no listing", async () => {
  await control.change({ invisibleMs: 1000 });
  const id = await createVolume(worker, { Size: 1 });
  await refused(describeVolume(worker, id), "InvalidVolume.NotFound");
  const Filters = [{ Name: "volume-id", Values: [id] }];
  const listed = async () => (await worker.ec2.send(new DescribeVolumesCommand({ Filters }))).Volumes?.length;
  assert.equal(await listed(), 0);
  await control.change({ invisibleMs: 0 });
  await waitUntil("the volume to be seen", async () =>
    describeVolume(worker, id).then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await listed(), 1);
  await control.addFault({ action: "DescribeVolumes", effect: "list-nothing" });
  assert.deepEqual([await listed(), await listed()], [0, 1]);
});

rootTest("snapshots are pending and volumes creating before they can be used", async () => {
  const { instanceId } = await launchSource(source, lab.folder, "none", SeededRandom.fresh());
  await control.change({ latencyMs: 1000 });
  const { Snapshots = [] } = await source.ec2.send(
    new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } }),
  );
  assert.equal(Snapshots.length, 2);
  const id = Snapshots[0]?.SnapshotId ?? "";
  assert.equal(Snapshots[0]?.State, "pending");
  await refused(createVolume(source, { SnapshotId: id }), "IncorrectState");
  await waitUntil(
    "half of the snapshot",
    async () => (await describeSnapshot(source, id))?.Progress === "50%",
  );
  assert.equal((await snapshotReaches(source, id, "completed")).Progress, "100%");
  const volume = await createVolume(source, { SnapshotId: id });
  assert.equal((await describeVolume(source, volume))?.State, "creating");
  await volumeReaches(source, volume, "available");
  await control.change({ latencyMs: 100 });
});

rootTest("snapshots and volumes fail when a test wants it", async () => {
  const { instanceId } = await launchSource(source, lab.folder, "none", SeededRandom.fresh());
  await control.addFault({ action: "CreateSnapshots", effect: "snapshot-error" });
  const command = new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: instanceId } });
  const { Snapshots = [] } = await source.ec2.send(command);
  for (const { SnapshotId = "" } of Snapshots) await snapshotReaches(source, SnapshotId, "error");
  const [good = ""] = await snapshotInstance(source, instanceId);
  await control.addFault({ action: "CreateVolume", effect: "volume-error" });
  await volumeReaches(source, await createVolume(source, { SnapshotId: good }), "error");
});

rootTest("data volumes and the root can be left out of a snapshot", async () => {
  const { instanceId, volumes } = await launchSource(source, lab.folder, "none", SeededRandom.fresh());
  const sources = async (specification: object) => {
    const InstanceSpecification = { InstanceId: instanceId, ...specification };
    const { Snapshots = [] } = await source.ec2.send(new CreateSnapshotsCommand({ InstanceSpecification }));
    return Snapshots.map(({ VolumeId }) => VolumeId);
  };
  const [root, data] = volumes.map(({ volumeId }) => volumeId);
  assert.deepEqual(await sources({}), [root, data]);
  assert.deepEqual(await sources({ ExcludeBootVolume: true }), [data]);
  assert.deepEqual(await sources({ ExcludeDataVolumeIds: [data] }), [root]);
  // "If you specify the ID of the root volume, the request fails. To exclude the root volume, use
  // ExcludeBootVolume." https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceSpecification.html
  await assert.rejects(sources({ ExcludeDataVolumeIds: [root] }), { name: "InvalidParameterValue" });
});

rootTest("the log has every call: who, what, and the error", async () => {
  await control.clearRequests();
  await refused(
    worker.ec2.send(new DescribeInstancesCommand({ InstanceIds: ["i-00000000000000000"] })),
    "InvalidInstanceID.NotFound",
  );
  const [request] = await control.requests();
  assert.equal(request?.principal, `arn:aws:iam::${worker.accountId}:user/worker`);
  assert.equal(request?.action, "DescribeInstances");
  assert.deepEqual(request?.parameters, { "InstanceId.1": "i-00000000000000000" });
  assert.equal(request?.error?.code, "InvalidInstanceID.NotFound");
});
