import assert from "node:assert/strict";
import {
  CopySnapshotCommand,
  DisableEbsEncryptionByDefaultCommand,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ResetEbsDefaultKmsKeyIdCommand,
} from "@aws-sdk/client-ec2";
import {
  CreateGrantCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  PutKeyPolicyCommand,
} from "@aws-sdk/client-kms";
import { fullDepthOnly } from "../support/depth.js";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { waitUntil } from "../support/wait-until.js";
import { startLab } from "./lab.js";
import { createKey } from "./lab-keys.js";
import { launchSource } from "./source-instance.js";
import { createVolume, share, snapshotInstance } from "./volume-steps.js";
import { describeVolume, refused, snapshotReaches, volumeReaches } from "./waits.js";

const lab = await startLab();
const { source, worker, control } = lab;

/** Makes a snapshot in the source account, and shares it with the worker's account. */
async function sharedSnapshot(keyArn: string): Promise<string> {
  const { instanceId } = await launchSource(source, lab.folder, { keyArn }, SeededRandom.fresh());
  const [id = ""] = await snapshotInstance(source, instanceId);
  await share(source, id, worker.accountId);
  return id;
}

// "Amazon Web Services authenticates the KMS key asynchronously. Therefore, if you specify an ID, alias, or
// ARN that is not valid, the action can appear to complete, but eventually fails."
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
rootTest(
  "a volume whose key can't be used is made, and turns to error or vanishes",
  fullDepthOnly,
  async () => {
    const snapshot = await sharedSnapshot(await createKey(source));
    await control.change({ latencyMs: 3000 });
    const failing = await createVolume(worker, { SnapshotId: snapshot });
    assert.equal((await describeVolume(worker, failing))?.State, "creating");
    await control.change({ latencyMs: 100 });
    await volumeReaches(worker, failing, "error");
    const entry = (await control.resources()).volumes.find(({ id }) => id === failing);
    assert.match(entry?.whyFailed ?? "", /lacks .*CreateGrant/);
    await control.change({ unusableKey: "vanish" });
    const vanishing = await createVolume(worker, { SnapshotId: snapshot });
    await waitUntil("the volume to vanish", async () => {
      const { volumes } = await control.resources();
      return volumes.every(({ id }) => id !== vanishing);
    });
    await refused(describeVolume(worker, vanishing), "InvalidVolume.NotFound");
    await control.change({ unusableKey: "error" });
  },
);

rootTest("a key that does not exist, is disabled or of another Region fails just so", async () => {
  const unknown = `arn:aws:kms:us-east-1:${worker.accountId}:key/11111111-2222-3333-4444-555555555555`;
  const disabled = await createKey(worker);
  await worker.kms.send(new DisableKeyCommand({ KeyId: disabled }));
  const elsewhere = await createKey(worker.in("eu-west-1"));
  for (const KmsKeyId of [unknown, disabled, elsewhere]) {
    const id = await createVolume(worker, { Size: 1, Encrypted: true, KmsKeyId });
    await volumeReaches(worker, id, "error");
  }
  await worker.kms.send(new EnableKeyCommand({ KeyId: disabled }));
  const id = await createVolume(worker, { Size: 1, Encrypted: true, KmsKeyId: disabled });
  await volumeReaches(worker, id, "available");
});

// "this field displays error state details to help you diagnose why the error occurred"
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
rootTest("a copy whose key can't be used ends in error, and says why", async () => {
  const snapshot = await sharedSnapshot(await createKey(source));
  const { SnapshotId = "" } = await worker.ec2.send(
    new CopySnapshotCommand({ SourceSnapshotId: snapshot, SourceRegion: worker.region }),
  );
  const { StateMessage } = await snapshotReaches(worker, SnapshotId, "error");
  assert.match(StateMessage ?? "", /Given key ID is not accessible/);
});

// The key policy and the other account's IAM policies must both allow access; a grant also gives access.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
rootTest("key policy or grant opens a key to another account", async () => {
  const key = await createKey(source);
  const snapshot = await sharedSnapshot(key);
  await refused(worker.kms.send(new DescribeKeyCommand({ KeyId: key })), "AccessDeniedException");
  await source.kms.send(
    new CreateGrantCommand({
      KeyId: key,
      GranteePrincipal: `arn:aws:iam::${worker.accountId}:user/worker`,
      Operations: [
        ...(["DescribeKey", "CreateGrant", "Decrypt", "GenerateDataKeyWithoutPlaintext"] as const),
        ...(["ReEncryptFrom", "ReEncryptTo"] as const),
      ],
    }),
  );
  const { KeyMetadata } = await worker.kms.send(new DescribeKeyCommand({ KeyId: key }));
  assert.equal(KeyMetadata?.Arn, key);
  await volumeReaches(worker, await createVolume(worker, { SnapshotId: snapshot }), "available");
});

rootTest(
  "a statement for AWS resources alone lets EBS use the key, and nobody make other grants",
  async () => {
    const key = await createKey(source);
    const snapshot = await sharedSnapshot(key);
    const other = { AWS: `arn:aws:iam::${worker.accountId}:root` };
    const statements = [
      { Effect: "Allow", Principal: { AWS: `arn:aws:iam::${source.accountId}:root` }, Action: "kms:*" },
      {
        Effect: "Allow",
        Principal: other,
        Action: ["kms:DescribeKey", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKeyWithoutPlaintext"],
      },
      {
        Effect: "Allow",
        Principal: other,
        Action: "kms:CreateGrant",
        Condition: { Bool: { "kms:GrantIsForAWSResource": "true" } },
      },
    ].map((statement) => ({ ...statement, Resource: "*" }));
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: statements });
    await source.kms.send(new PutKeyPolicyCommand({ KeyId: key, PolicyName: "default", Policy }));
    await volumeReaches(worker, await createVolume(worker, { SnapshotId: snapshot }), "available");
    const grant = new CreateGrantCommand({ KeyId: key, GranteePrincipal: "self", Operations: ["Decrypt"] });
    await refused(worker.kms.send(grant), "AccessDeniedException");
  },
);

// EBS makes an AWS managed key with the alias aws/ebs in each account and Region, and uses it unless another
// is chosen. https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
rootTest("the default key is the AWS managed one of the account, until it chooses another", async () => {
  const defaultKey = async () => {
    const { KmsKeyId = "" } = await worker.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}));
    return KmsKeyId;
  };
  const { KeyMetadata } = await worker.kms.send(new DescribeKeyCommand({ KeyId: await defaultKey() }));
  assert.equal(KeyMetadata?.KeyManager, "AWS");
  assert.equal(KeyMetadata?.AWSAccountId, worker.accountId);
  const chosen = await createKey(worker);
  await worker.ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: chosen }));
  assert.equal(await defaultKey(), chosen);
  const volume = await createVolume(worker, { Size: 1, Encrypted: true });
  assert.equal((await volumeReaches(worker, volume, "available")).KmsKeyId, chosen);
  await worker.ec2.send(new ResetEbsDefaultKmsKeyIdCommand({}));
  assert.equal(await defaultKey(), KeyMetadata?.Arn);
});

// Then all new volumes of an account are encrypted, even if the call does not ask for it.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableEbsEncryptionByDefault.html
rootTest("encryption by default encrypts what did not ask for it", async () => {
  const plain = await createVolume(worker, { Size: 1 });
  assert.equal((await describeVolume(worker, plain))?.Encrypted, false);
  await worker.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
  const encrypted = await createVolume(worker, { Size: 1 });
  assert.equal((await describeVolume(worker, encrypted))?.Encrypted, true);
  await worker.ec2.send(new DisableEbsEncryptionByDefaultCommand({}));
});

// A volume from a snapshot that you own keeps the snapshot's key. A volume from a snapshot shared with you
// gets your default key. https://docs.aws.amazon.com/ebs/latest/userguide/encryption-examples.html
rootTest("a volume gets its own snapshot's key, or the default key for a shared one", async () => {
  const key = await createKey(source, [worker.accountId]);
  const snapshot = await sharedSnapshot(key);
  const own = await volumeReaches(source, await createVolume(source, { SnapshotId: snapshot }), "available");
  assert.equal(own.KmsKeyId, key);
  const { KmsKeyId } = await worker.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}));
  const theirs = await volumeReaches(
    worker,
    await createVolume(worker, { SnapshotId: snapshot }),
    "available",
  );
  assert.equal(theirs.KmsKeyId, KmsKeyId);
});
