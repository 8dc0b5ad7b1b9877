import assert from "node:assert/strict";
import {
  CopySnapshotCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DescribeSnapshotsCommand,
  ModifySnapshotAttributeCommand,
} from "@aws-sdk/client-ec2";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { startLab } from "./lab.js";
import { createKey } from "./lab-keys.js";
import { launchSource } from "./source-instance.js";
import { createVolume, share, snapshotInstance } from "./volume-steps.js";
import { describeSnapshot, refused, snapshotReaches, volumeReaches } from "./waits.js";

const lab = await startLab();
const { source, worker } = lab;

async function snapshotsOf(encryption: Parameters<typeof launchSource>[2]): Promise<[string, string]> {
  const { instanceId } = await launchSource(source, lab.folder, encryption, SeededRandom.fresh());
  return (await snapshotInstance(source, instanceId)) as [string, string];
}

// "If you specify a snapshot ID for which you do not have access, it is not included in the returned
// results." https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
rootTest("a snapshot is seen from another account while it is shared, and not before or after", async () => {
  const [id] = await snapshotsOf("none");
  assert.equal(await describeSnapshot(worker, id), undefined);
  await refused(createVolume(worker, { SnapshotId: id }), "InvalidSnapshot.NotFound");
  await share(source, id, worker.accountId);
  assert.equal((await describeSnapshot(worker, id))?.OwnerId, source.accountId);
  await volumeReaches(worker, await createVolume(worker, { SnapshotId: id }), "available");
  await source.ec2.send(
    new ModifySnapshotAttributeCommand({
      SnapshotId: id,
      Attribute: "createVolumePermission",
      OperationType: "remove",
      UserIds: [worker.accountId],
    }),
  );
  assert.equal(await describeSnapshot(worker, id), undefined);
});

rootTest("a shared snapshot shows its tags to its owner alone, and can't be deleted by others", async () => {
  const [id] = await snapshotsOf("none");
  await source.ec2.send(
    new CreateTagsCommand({ Resources: [id], Tags: [{ Key: "for", Value: "the owner" }] }),
  );
  await share(source, id, worker.accountId);
  assert.equal((await describeSnapshot(source, id))?.Tags?.length, 1);
  assert.deepEqual((await describeSnapshot(worker, id))?.Tags ?? [], []);
  await refused(worker.ec2.send(new DeleteSnapshotCommand({ SnapshotId: id })), "InvalidSnapshot.NotFound");
});

// "self for snapshots that you own":
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
rootTest("OwnerIds self leaves out what others share", async () => {
  const [id] = await snapshotsOf("none");
  await share(source, id, worker.accountId);
  const { Snapshots = [] } = await worker.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ["self"] }));
  assert.ok(Snapshots.every(({ OwnerId }) => OwnerId === worker.accountId));
  const all = await worker.ec2.send(new DescribeSnapshotsCommand({}));
  assert.ok(all.Snapshots?.some(({ SnapshotId }) => SnapshotId === id));
});

// "You can't share snapshots that are encrypted with the default AWS managed key."
// "You can share only unencrypted snapshots publicly."
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
rootTest("a snapshot encrypted with aws/ebs can't be shared, nor an encrypted one made public", async () => {
  const [managed] = await snapshotsOf("aws/ebs");
  await refused(share(source, managed, worker.accountId), "OperationNotPermitted");
  const [customer] = await snapshotsOf({ keyArn: await createKey(source) });
  await share(source, customer, worker.accountId);
  const publish = new ModifySnapshotAttributeCommand({
    SnapshotId: customer,
    Attribute: "createVolumePermission",
    OperationType: "add",
    GroupNames: ["all"],
  });
  await refused(source.ec2.send(publish), "OperationNotPermitted");
});

// "Snapshots copies have an arbitrary source volume ID. Do not use this volume ID for any purpose."
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
rootTest("copying re-encrypts, so that a snapshot with aws/ebs can be shared as a copy", async () => {
  const [id] = await snapshotsOf("aws/ebs");
  const bridgeKey = await createKey(source, [worker.accountId]);
  const original = await describeSnapshot(source, id);
  const { SnapshotId = "" } = await source.ec2.send(
    new CopySnapshotCommand({
      SourceSnapshotId: id,
      SourceRegion: source.region,
      Encrypted: true,
      KmsKeyId: bridgeKey,
    }),
  );
  const copy = await snapshotReaches(source, SnapshotId, "completed");
  assert.equal(copy.KmsKeyId, bridgeKey);
  assert.notEqual(copy.VolumeId, original?.VolumeId);
  await share(source, SnapshotId, worker.accountId);
  await volumeReaches(worker, await createVolume(worker, { SnapshotId }), "available");
});

// "Snapshots are constrained to the Region in which they were created. To share a snapshot with another
// Region, copy the snapshot to that Region and then share the copy."
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
rootTest("a snapshot is in its Region alone, and a copy takes a key of the other Region", async () => {
  const [id] = await snapshotsOf({ keyArn: await createKey(source) });
  const far = source.in("eu-west-1");
  await refused(createVolume(far, { SnapshotId: id }), "InvalidSnapshot.NotFound");
  const key = await createKey(far);
  const { SnapshotId = "" } = await far.ec2.send(
    new CopySnapshotCommand({
      SourceSnapshotId: id,
      SourceRegion: source.region,
      Encrypted: true,
      KmsKeyId: key,
    }),
  );
  assert.equal((await snapshotReaches(far, SnapshotId, "completed")).KmsKeyId, key);
  await volumeReaches(far, await createVolume(far, { SnapshotId }), "available");
});
