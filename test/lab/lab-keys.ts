import { CreateKeyCommand } from "@aws-sdk/client-kms";
import type { Party } from "./party.js";

/**
 * The actions on the key of a shared snapshot that a role needs:
 * https://docs.aws.amazon.com/ebs/latest/userguide/share-kms-key.html
 */
const USE_ACTIONS = [
  "kms:DescribeKey",
  "kms:CreateGrant",
  "kms:Decrypt",
  "kms:ReEncrypt*",
  "kms:GenerateDataKey*",
];

/**
 * Makes a customer managed key. The account's own policies control it.
 * @param users ids of accounts that may use the key
 * @returns its ARN
 */
export async function createKey(owner: Party, users: string[] = []): Promise<string> {
  const statements = [
    allow(owner.accountId, "kms:*"),
    ...users.map((account) => allow(account, USE_ACTIONS)),
  ];
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: statements });
  const { KeyMetadata } = await owner.kms.send(new CreateKeyCommand({ Policy }));
  return KeyMetadata?.Arn ?? "";
}

/**
 * Makes a key that signs jobs or tombstones. The account's own policies control it.
 * @param verifiers ids of accounts that may only verify
 * @returns its ARN
 */
export function createJobKey(owner: Party, verifiers: string[] = []): Promise<string> {
  return createMacKey(owner, verifiers, "kms:VerifyMac");
}

/**
 * Makes a key with which agents sign their replies.
 * @param signers ids of the agents' accounts
 * @returns its ARN
 */
export function createReplyKey(owner: Party, signers: string[] = []): Promise<string> {
  return createMacKey(owner, signers, "kms:GenerateMac");
}

async function createMacKey(owner: Party, users: string[], action: string): Promise<string> {
  const statements = [allow(owner.accountId, "kms:*"), ...users.map((account) => allow(account, action))];
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: statements });
  const command = new CreateKeyCommand({ Policy, KeyUsage: "GENERATE_VERIFY_MAC", KeySpec: "HMAC_256" });
  const { KeyMetadata } = await owner.kms.send(command);
  return KeyMetadata?.Arn ?? "";
}

function allow(account: string, action: string | string[]) {
  return {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${account}:root` },
    Action: action,
    Resource: "*",
  };
}
