import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { type PolicyParty, policyFor } from "../../../controller/iam-policy/policies.js";
import { iamRequestsOf } from "../../lab/iam/iam-requests.js";
import { isAllowed } from "../../lab/iam/simulate.js";
import { startLab } from "../../lab/lab.js";
import { createJobKey } from "../../lab/lab-keys.js";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf } from "../plans.js";

const lab = await startLab();
const BUCKET = "repository-roles";
const REPO = `s3://${BUCKET}/fleet`;
const owner = lab.worker.accountId;
let tombstoneKey = "";

/** Runs a command as a user of the account who may do everything. */
async function run(...args: string[]): Promise<string> {
  const env = { ...lab.env, BLOCKFERRY_PASSPHRASE: "" };
  const { code, stdout, stderr } = await startAgent([...args, "--repo", REPO, "--json"], env).result;
  assert.equal(code, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
  return stdout;
}

before(async () => {
  await lab.worker.s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  await run("init");
  tombstoneKey = await createJobKey(lab.worker);
  const random = SeededRandom.fresh();
  const image = join(await tempFolder(), "disk.img");
  for (let round = 0; round < 4; round++) {
    // More than one part of a pack.
    await writeRandomFile(image, 20_000_000, random);
    await run("backup", "--device", image);
  }
});

/** Leaves the use of a key to the account's own policies, as the default policy of a new key does. */
const keyPolicy = {
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Action: "kms:*", Resource: "*", Principal: { AWS: `arn:aws:iam::${owner}:root` } },
  ],
};

/** Returns all requests of the commands to S3 and KMS that the role's policy denies. */
async function denied(role: PolicyParty, commands: string[][]): Promise<string[]> {
  await lab.control.clearRequests();
  for (const command of commands) await run(...command);
  const calls = (await lab.control.requests()).filter(({ service }) => service !== "sts");
  assert.ok(calls.length > 10);
  const repository = { repo: REPO, bucketOwner: owner };
  const plan = { ...planOf({}, { repository }), workerRole: null, repositoryKeys: [], tombstoneKey };
  const policy = policyFor(role, plan);
  const requests = iamRequestsOf(calls, owner);
  const answers = await Promise.all(
    requests.map((request) =>
      isAllowed(request, [policy], request.action.startsWith("kms:") ? keyPolicy : undefined),
    ),
  );
  return requests
    .filter((_, index) => !answers[index])
    .map(({ action, resource, context }) => `${action} ${resource} ${JSON.stringify(context)}`);
}

test(
  "the policy for verifying is enough to verify by samples and to prove tombstones, and signs none",
  fullDepthOnly,
  async () => {
    await run("forget", "--keep-last", "3", "--tombstone-key", tombstoneKey);
    const commands = [
      ["verify", "--read-data=50"],
      ["verify", "--tombstone-key", tombstoneKey],
    ];
    assert.deepEqual(await denied("verify", commands), []);
    const refused = await denied("verify", [["forget", "--keep-last", "2", "--tombstone-key", tombstoneKey]]);
    assert.ok(
      refused.some((one) => one.startsWith(`kms:GenerateMac ${tombstoneKey}`)),
      refused.join("\n"),
    );
  },
);

test("the policy for maintenance is enough to forget, prune, repair and verify", fullDepthOnly, async () => {
  const commands = [
    ["forget", "--keep-last", "1", "--yes", "--tombstone-key", tombstoneKey],
    ["verify", "--tombstone-key", tombstoneKey],
    ["prune", "--grace-period", "0s", "--rewrite-below", "100"],
    ["repair", "index"],
    ["stats"],
    ["list"],
  ];
  assert.deepEqual(await denied("maintenance", commands), []);
});

test(
  "the policy of an agent is enough for a backup by hand, and for neither forgetting nor pruning",
  fullDepthOnly,
  async () => {
    const image = join(await tempFolder(), "other.img");
    await writeRandomFile(image, 20_000_000, SeededRandom.fresh());
    assert.deepEqual(await denied("agent", [["backup", "--device", image]]), []);
    const refused = await denied("agent", [["prune", "--grace-period", "0s", "--rewrite-below", "100"]]);
    assert.ok(
      refused.some((one) => one.includes("/fleet/prune/")),
      refused.join("\n"),
    );
  },
);
