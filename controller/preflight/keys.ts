import { GetEbsDefaultKmsKeyIdCommand } from "@aws-sdk/client-ec2";
import { DescribeKeyCommand, type KeyMetadata } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { howToAllow } from "../aws/key-failure.js";
import type { Party } from "../aws/party.js";
import type { KeyKind } from "../route.js";

/**
 * Returns whether snapshots under a key can be shared.
 * @param key ARN, or null for an unencrypted volume
 */
export async function keyKindOf(source: Party, key: string | null): Promise<KeyKind> {
  if (key === null) return "none";
  const { KeyManager } = await usableKey(source, key);
  return KeyManager === "AWS" ? "aws-managed" : "customer";
}

/** Returns the default EBS key of a party's account and Region, as `alias/aws/ebs` or an ARN. */
export async function defaultEbsKey(party: Party): Promise<string> {
  const { KmsKeyId } = await party.ec2(
    new GetEbsDefaultKmsKeyIdCommand({}),
    `the default EBS key of ${party.region}`,
  );
  return KmsKeyId ?? "alias/aws/ebs";
}

/**
 * Returns the metadata of a key that a party needs.
 * @throws KeyNotUsable when the party may not describe the key, or when the key is not enabled
 */
export async function usableKey(party: Party, key: string): Promise<KeyMetadata & { Arn: string }> {
  const region = key.startsWith("arn:") ? key.split(":")[3] : party.region;
  const metadata = await describe(party, key, region ?? party.region);
  if (metadata.KeyState !== "Enabled") {
    throw new BlockferryError({
      code: "KeyNotUsable",
      message: `Key ${metadata.Arn ?? key} is ${metadata.KeyState}, so EBS cannot use it.`,
      remedy: `Enable it (aws kms enable-key), or cancel its deletion first; or name another key.`,
      object: metadata.Arn ?? key,
    });
  }
  return { ...metadata, Arn: metadata.Arn ?? key };
}

async function describe(party: Party, key: string, region: string): Promise<KeyMetadata> {
  try {
    const { KeyMetadata } = await party.kms(new DescribeKeyCommand({ KeyId: key }), key, region);
    return KeyMetadata ?? { KeyId: key };
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
    if (error.code !== "AwsAccessDenied" && error.code !== "AwsResourceNotFound") throw error;
    throw new BlockferryError(
      {
        code: "KeyNotUsable",
        message: `${party.principalArn} cannot use key ${key}: ${error.message}`,
        remedy: howToAllow(party, [key]),
        object: key,
      },
      error,
    );
  }
}

/**
 * Checks the key for copies of snapshots.
 * @throws SnapshotNotShareable when copies under the key cannot be shared; KeyNotUsable when it is in another
 * Region
 */
export function checkBridgeKey(key: KeyMetadata & { Arn: string }, region: string, isShared: boolean): void {
  if (key.Arn.split(":")[3] !== region) {
    throw new BlockferryError({
      code: "KeyNotUsable",
      message: `The bridge key ${key.Arn} is not in ${region}, where the copies are made.`,
      remedy: "Name a key of the worker's Region.",
      object: key.Arn,
    });
  }
  if (!isShared || key.KeyManager !== "AWS") return;
  throw new BlockferryError({
    code: "SnapshotNotShareable",
    message: `The bridge key ${key.Arn} is managed by AWS; snapshots under it cannot be shared.`,
    remedy: "Name a customer-managed key with --bridge-key.",
    object: key.Arn,
  });
}

/** Returns the error for an AWS-managed key across accounts, before any resource is created. */
export function notShareable(volumeId: string, key: string | null): BlockferryError {
  return new BlockferryError({
    code: "SnapshotNotShareable",
    message: `Volume ${volumeId} is encrypted with ${key}, which AWS manages: its snapshots cannot be shared with another account.`,
    remedy:
      "Give --worker-account source with a worker in the instance's account, or --bridge-key ARN of a customer-managed key, under which a copy is made and shared.",
    object: volumeId,
  });
}
