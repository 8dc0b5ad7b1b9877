import { CreateKeyCommand } from "@aws-sdk/client-kms";
import type { Party } from "./party.js";

/** What a role needs on the key of a snapshot shared with it: https://docs.aws.amazon.com/ebs/latest/userguide/share-kms-key.html */
const USE_ACTIONS = [
  "kms:DescribeKey",
  "kms:CreateGrant",
  "kms:Decrypt",
  "kms:ReEncrypt*",
  "kms:GenerateDataKey*",
];

/** Makes a customer managed key that the account's own policies rule, and that `users`, account ids, may use. @returns its ARN */
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
 * Makes a key that jobs are signed with, which the account's own policies rule, and with which `verifiers`, account ids, may only
 * verify. @returns its ARN
 */
export async function createJobKey(owner: Party, verifiers: string[] = []): Promise<string> {
  const statements = [
    allow(owner.accountId, "kms:*"),
    ...verifiers.map((account) => allow(account, "kms:VerifyMac")),
  ];
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
