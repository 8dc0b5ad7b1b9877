import { createHmac } from "node:crypto";
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { openSigning } from "../../controller/plan/signing.js";
import type { MacKey } from "../../repository/encryption/mac-key.js";
import type { RepositoryConfig } from "../../repository/format/config.js";
import type { JobSigning } from "../../repository/jobs/job.js";

/** Returns the signer that `writeJob` takes, as a controller with the key has it. */
export function signedBy(keyArn: string, config: RepositoryConfig): JobSigning | undefined {
  return openSigning({ config }, { jobKey: keyArn }, { profile: undefined }).jobs;
}

/**
 * Returns a MAC key that works locally, in place of KMS.
 * @param secret stands for the key material, which never leaves KMS
 */
export function localMacKey(secret: string): MacKey & { check(): Promise<void> } {
  return {
    arn: "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111",
    mac: async (message) => createHmac("sha256", secret).update(message).digest(),
    check: async () => undefined,
  };
}

/** Makes a KMS key for MACs, on the server that the environment names. @returns its ARN */
export async function newMacKey(): Promise<string> {
  const command = new CreateKeyCommand({ KeyUsage: "GENERATE_VERIFY_MAC", KeySpec: "HMAC_256" });
  return (await new KMSClient().send(command)).KeyMetadata?.Arn ?? "";
}
