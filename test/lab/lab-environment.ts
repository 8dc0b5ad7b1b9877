import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabAccount, LabServer } from "./lab-server.js";

/** The Region of the lab's instances. */
export const REGION = "us-east-1";

/**
 * Writes the AWS configuration with profiles `source` and `worker`.
 * @returns the environment for commands in the lab
 */
export async function writeEnvironment(folder: string, server: LabServer): Promise<Record<string, string>> {
  const config = join(folder, "aws", "config");
  const credentials = join(folder, "aws", "credentials");
  await mkdir(join(folder, "aws"));
  await writeFile(config, profile("source", server.source) + profile("worker", server.worker), {
    mode: 0o600,
  });
  await writeFile(credentials, "");
  return {
    BLOCKFERRY_STATE_DIR: join(folder, "state"),
    AWS_ENDPOINT_URL: server.endpointUrl,
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_REGION: REGION,
    AWS_PROFILE: "worker",
    AWS_EC2_METADATA_DISABLED: "true",
  };
}

function profile(name: string, { accessKeyId, secretAccessKey }: LabAccount): string {
  return `[profile ${name}]
region = ${REGION}
aws_access_key_id = ${accessKeyId}
aws_secret_access_key = ${secretAccessKey}

`;
}
