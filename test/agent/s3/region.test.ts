import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startAgent } from "../../support/agent.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const REGION = "eu-north-1";

/** Sources of the server's Region; versitygw refuses a signature for another. */
const NAMED: { by: string; options?: string[]; env?: NodeJS.ProcessEnv }[] = [
  {
    by: "--region, whatever AWS_REGION says",
    options: ["--region", REGION],
    env: { AWS_REGION: "sa-east-1" },
  },
  { by: "AWS_REGION", env: { AWS_REGION: REGION } },
  { by: "--profile", options: ["--profile=there"] },
  { by: "AWS_PROFILE", env: { AWS_PROFILE: "there" } },
];

describe("a server that --endpoint-url names", needing("versitygw"), async () => {
  const config = join(await tempFolder(), "aws-config");
  const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret } = S3_ENVIRONMENT;
  const keys = `aws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`;
  await writeFile(config, `[profile there]\nregion = ${REGION}\n${keys}`);

  async function assertReached(repo: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    const init = ["init", "--repo", `s3://${BUCKET}/${repo}`, "--force-path-style", "--json", ...args];
    const nothingNamed = { AWS_REGION: undefined, AWS_ENDPOINT_URL: undefined, AWS_CONFIG_FILE: config };
    const { code, stdout } = await startAgent(init, { ...nothingNamed, ...env }).result;
    assert.equal(code, 0, stdout);
  }

  const { endpointUrl } = await startS3Server("versitygw", REGION);
  for (const [number, { by, options = [], env }] of NAMED.entries()) {
    test(`gets requests for the Region that is named by ${by}`, () =>
      assertReached(`named-${number}`, ["--endpoint-url", endpointUrl, ...options], env));
  }

  test("gets requests for us-east-1 where no Region is named", async () => {
    const server = await startS3Server("versitygw");
    await assertReached("unnamed", ["--endpoint-url", server.endpointUrl]);
  });
});
