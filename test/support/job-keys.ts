import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";

/** A KMS key that signs jobs, of the server that the environment names. @returns its ARN */
export async function newJobKey(): Promise<string> {
  const command = new CreateKeyCommand({ KeyUsage: "GENERATE_VERIFY_MAC", KeySpec: "HMAC_256" });
  return (await new KMSClient().send(command)).KeyMetadata?.Arn ?? "";
}
