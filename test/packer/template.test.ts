import assert from "node:assert/strict";
import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";

const KEY = "kms_key_id=arn:aws:kms:eu-central-1:111111111111:key/12345678-1234-1234-1234-123456789012";

const JOB_KEY = KEY.replace("kms_key_id=", "");

/** Runs `validate`, which does not read the files, but requires that they exist. */
async function validate(folder: string, packer: string, ...variables: string[]) {
  const env = [
    "CHECKPOINT_DISABLE=1",
    `PACKER_CONFIG_DIR=${await mkdtemp(join(folder, "packer-"))}`,
    `PACKER_PLUGIN_PATH=${join(packer, "plugins")}`,
  ];
  const given = ["region=eu-central-1", `package=${join(folder, "blockferry-0.1.0.tgz")}`, ...variables];
  const args = given.flatMap((variable) => ["-var", variable]);
  return runTool("env", ...env, join(packer, "packer"), "validate", ...args, "packer").then(
    (output) => ({ code: 0, output }),
    ({ code, stdout, stderr }) => ({ code, output: `${stdout}${stderr}` }),
  );
}

describe("the template of the worker AMI", fullDepthOnly, async () => {
  const folder = await tempFolder();
  const packer = join(process.cwd(), ".tools/packer");
  await runTool("npm", "pack", "--silent", "--pack-destination", folder);

  for (const base of ["al2023", "debian12"])
    for (const architecture of ["x86_64", "arm64"])
      test(`is valid for ${base} on ${architecture}`, async () => {
        const variables = [`base=${base}`, `architecture=${architecture}`];
        const { code, output } = await validate(folder, packer, ...variables);
        assert.equal(code, 0, output);
      });

  test("may be shared if it is encrypted with a customer's key, but not with the default key", async () => {
    const shared = 'share_accounts=["222222222222"]';
    const { code, output } = await validate(folder, packer, shared, KEY, "subnet_id=subnet-0123");
    assert.equal(code, 0, output);
    const refused = await validate(folder, packer, shared);
    assert.equal(refused.code, 1);
    assert.match(refused.output, /Cannot share AMI encrypted with default KMS key/);
  });

  test("takes a job key and options for all workers", async () => {
    const { code, output } = await validate(
      ...[folder, packer, `job_key=${JOB_KEY}`],
      "serve_options=--threads auto --metrics-file /var/lib/blockferry/agent.prom",
    );
    assert.equal(code, 0, output);
  });

  for (const [variable, message] of [
    ["region=", /The region must be/],
    ["kms_key_id=alias/aws/ebs", /must not be a key of AWS/],
    ["base=ubuntu", /The base must be/],
    ["architecture=mips", /The architecture must be/],
    ["node_version=20.19.0", /must be 24\.x\.y/],
    ['share_accounts=["me"]', /account id of 12 digits/],
    ["jobs=everything", /The jobs must be/],
    [`job_key=${JOB_KEY.replace("key/", "alias/")}`, /not of an alias/],
    ["job_key=mac-key", /must be the ARN of a key/],
    ["reply_key=mac-key", /reply_key must be the ARN of a key/],
    ["expect=mine", /UUID:KEYCHECK/],
    [`serve_options=--reply-key ${JOB_KEY}`, /has a variable of its own/],
    ["serve_options=threads auto", /must be options/],
    ['serve_options=--repo "s3://a"', /without quotes/],
    ["serve_options=--repo $(id)", /other characters of a shell/],
    [`serve_options=--job-key ${JOB_KEY}`, /has a variable of its own/],
    ["package=left-pad-1.0.0.tgz", /The package must be/],
  ] as const) {
    test(`refuses ${variable}`, async () => {
      const { code, output } = await validate(folder, packer, variable);
      assert.equal(code, 1);
      assert.match(output.replace(/\s+/g, " "), message);
    });
  }

  test("makes an image whose instances give their metadata to IMDSv2 alone, as the one that builds it", async () => {
    const template = (await readFile("packer/worker.pkr.hcl", "utf8")).replace(/ +/g, " ");
    assert.match(template, /^ imds_support = "v2.0"$/m);
    const builder = /metadata_options \{\n([^}]*)\}/.exec(template)?.[1]?.trim().split(/\n ?/);
    assert.deepEqual(builder?.toSorted(), [
      'http_endpoint = "enabled"',
      "http_put_response_hop_limit = 1",
      'http_tokens = "required"',
    ]);
  });

  test("is formatted as Packer formats it", async () => {
    await runTool(join(packer, "packer"), "fmt", "-check", "packer");
  });
});
