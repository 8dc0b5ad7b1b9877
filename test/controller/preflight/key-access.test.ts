import assert from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { before, describe } from "node:test";
import { CreateRoleCommand, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { CreateGrantCommand, PutKeyPolicyCommand } from "@aws-sdk/client-kms";
import type { Policy } from "../../../controller/iam-policy/policy-document.js";
import { populate, REPOSITORY, startLab } from "../../lab/lab.js";
import { REGION } from "../../lab/lab-environment.js";
import { createJobKey } from "../../lab/lab-keys.js";
import { controller } from "../../support/controller.js";
import { fullDepthOnly } from "../../support/depth.js";
import { failure } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";

const lab = await startLab();
const { sharedKey, customerKey, workerId } = await populate(lab);
const WORKER = `arn:aws:iam::${lab.worker.accountId}:user/worker`;
const BACKUP = [
  ...["--repo", REPOSITORY, "--source-profile", "source", "--worker", workerId],
  ...["--instance", customerKey.instanceId],
];
/** Leaves the use of the key to the policies of its account. */
const OWN = {
  ...{ Effect: "Allow", Action: "kms:*", Resource: "*" },
  Principal: { AWS: `arn:aws:iam::${lab.source.accountId}:root` },
};

rootTest(
  "a key whose policy leaves the worker out is named once, with all that it does not allow",
  async () => {
    await putPolicy(OWN);
    const { ok, problems, notes } = await check();
    assert.equal(ok, false);
    assert.deepEqual(notes, []);
    assert.equal(problems.length, 1, JSON.stringify(problems));
    assert.deepEqual([problems[0]?.code, problems[0]?.object], ["KeyNotUsable", sharedKey]);
    for (const name of ["DescribeKey", "CreateGrant", "Decrypt", "ReEncryptFrom", "ReEncryptTo"])
      assert.match(problems[0]?.message ?? "", new RegExp(`${WORKER} .*kms:${name}`));
    assert.match(problems[0]?.remedy ?? "", /blockferry iam-policy --for key-policy/);
  },
);

rootTest(
  "a right that a key's policy does not grant is found although the worker may describe the key",
  async () => {
    const Action = ["kms:Describe*", "kms:Decrypt", "kms:ReEncrypt*"];
    await putPolicy(OWN, { Effect: "Allow", Action, Resource: "*", Principal: { AWS: WORKER } });
    const { problems } = await check();
    assert.equal(problems.length, 1);
    const lacking = `does not allow ${WORKER} kms:CreateGrant, kms:GenerateDataKeyWithoutPlaintext.`;
    assert.ok(problems[0]?.message.endsWith(lacking), problems[0]?.message);
  },
);

rootTest("an action that the policy denies the worker is found, whatever else it allows", async () => {
  const all = { Effect: "Allow", Action: "kms:*", Resource: "*", Principal: { AWS: lab.worker.accountId } };
  const not = { Effect: "Deny", Action: "kms:ReEncryptTo", Resource: "*", Principal: "*" };
  await putPolicy(OWN, all, not);
  const { problems } = await check();
  assert.ok(problems.some(({ message }) => message.endsWith(`${WORKER} kms:ReEncryptTo.`)));
});

rootTest("a policy for the callers of another account alone leaves the worker out", async () => {
  const Condition = { StringEquals: { "kms:CallerAccount": lab.source.accountId } };
  await putPolicy(OWN, { Effect: "Allow", Action: "kms:*", Resource: "*", Principal: "*", Condition });
  const { problems } = await check();
  assert.match(problems[0]?.message ?? "", /does not allow/);
});

rootTest("what `iam-policy --for key-policy` prints puts it right", async () => {
  await putPolicy(OWN);
  const { stdout } = await controller(["iam-policy", "--for", "key-policy", ...BACKUP], lab.env);
  await putPolicy(OWN, ...(JSON.parse(stdout) as Policy).Statement);
  assert.deepEqual(await check(), { ok: true, problems: [], notes: [] });
});

rootTest(
  "policies name the tombstone key of the command line alone, and none that signs jobs",
  fullDepthOnly,
  async () => {
    const key = await createJobKey(lab.worker);
    const print = (env: Record<string, string>, ...options: string[]) =>
      controller(["iam-policy", "--for", "maintenance", ...BACKUP, ...options, "--json"], {
        ...lab.env,
        ...env,
      });
    const { stdout } = await print({}, "--tombstone-key", key);
    const keysOf = ({ Statement }: Policy) =>
      Statement.filter(({ Action }) => Action.includes("kms:GenerateMac")).flatMap(
        ({ Resource }) => Resource,
      );
    assert.deepEqual(keysOf(JSON.parse(stdout)), [key], stdout);
    const byVariable = await print({ BLOCKFERRY_TOMBSTONE_KEY: key });
    assert.deepEqual(keysOf(JSON.parse(byVariable.stdout)), [], byVariable.stdout);
    const error = failure(2, await print({}, "--tombstone-key", key, "--job-key", key));
    assert.match(error.message, /anyone who may forget points could also sign jobs or replies/);
  },
);

rootTest("a policy that may not be read is a note, and no problem", async () => {
  const error = { code: "AccessDeniedException", message: "Not for you", status: 400 };
  await lab.control.addFault({ action: "GetKeyPolicy", account: lab.source.accountId, error });
  const { ok, notes } = await check();
  assert.equal(ok, true);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? "", new RegExp(`${sharedKey} for ${WORKER} is not known.*kms:GetKeyPolicy`));
});

rootTest("neither are grants that may not be read, where only those could help", async () => {
  const Action = ["kms:Describe*", "kms:Decrypt", "kms:ReEncrypt*"];
  await putPolicy(OWN, { Effect: "Allow", Action, Resource: "*", Principal: { AWS: WORKER } });
  const error = { code: "AccessDeniedException", message: "Not for you", status: 400 };
  await lab.control.addFault({ action: "ListGrants", error });
  const { ok, notes } = await check();
  assert.deepEqual([ok, notes.length], [true, 1]);
});

rootTest("a grant for the worker does instead of the policy", async () => {
  await putPolicy(OWN);
  await grantAll(WORKER);
  assert.deepEqual(await check(), { ok: true, problems: [], notes: [] });
});

describe("a worker's role with a path", () => {
  let role = "";
  const printed = async (...access: string[]) => {
    const { stdout, stderr } = await controller(
      ["iam-policy", "--for", "key-policy", ...BACKUP, ...access],
      lab.env,
    );
    const { Statement } = JSON.parse(stdout) as Policy;
    return { stderr, principals: Statement.map(({ Principal }) => Principal) };
  };

  /** The principal, in each of the three statements. */
  const named = (AWS: string) => [{ AWS }, { AWS }, { AWS }];

  before(async () => {
    role = await roleWithPath("/backups/nightly/");
  });

  rootTest("is named with it in a key's policy, by --worker-role or by IAM", fullDepthOnly, async () => {
    await lab.control.clearRequests();
    assert.deepEqual((await printed("--worker-role", role)).principals, named(role));
    const calls = (await lab.control.requests()).map(({ action }) => action);
    assert.ok(!calls.includes("GetRole"));
    assert.deepEqual(await printed("--worker-aws-profile", "with-path"), {
      ...{ stderr: "", principals: named(role) },
    });
  });

  rootTest("is named without it where IAM may not be asked, and that is said", async () => {
    const error = { code: "AccessDenied", message: "Not for you", status: 403 };
    await lab.control.addFault({ action: "GetRole", error });
    const { stderr, principals } = await printed("--worker-aws-profile", "with-path");
    const bare = role.replace("backups/nightly/", "");
    assert.deepEqual(principals, named(bare));
    assert.match(stderr, /note: .*iam:GetRole.*--worker-role/);
  });

  rootTest("is known by a grant", async () => {
    await putPolicy(OWN);
    await grantAll(role);
    const { ok, problems } = await check("--worker-aws-profile", "with-path");
    assert.deepEqual([ok, problems], [true, []]);
  });
});

/** Makes a role of the worker's account, and the profile `with-path` that assumes it. @returns its ARN */
async function roleWithPath(Path: string): Promise<string> {
  const policy = (statement: object) =>
    JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...statement }] });
  const RoleName = "blockferry-with-path";
  const trust = { Action: "sts:AssumeRole", Principal: { AWS: `arn:aws:iam::${lab.worker.accountId}:root` } };
  const { Role } = await lab.worker.iam.send(
    new CreateRoleCommand({ RoleName, Path, AssumeRolePolicyDocument: policy(trust) }),
  );
  const PolicyDocument = policy({ Action: "*", Resource: "*" });
  await lab.worker.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "all", PolicyDocument }));
  const role = Role?.Arn ?? "";
  const profile = `[profile with-path]\nrole_arn = ${role}\nsource_profile = worker\nregion = ${REGION}\n`;
  await appendFile(lab.env.AWS_CONFIG_FILE ?? "", profile);
  return role;
}

/** Grants a principal all uses of the key that EBS needs. */
async function grantAll(GranteePrincipal: string): Promise<void> {
  await lab.source.kms.send(
    new CreateGrantCommand({
      ...{ KeyId: sharedKey, GranteePrincipal },
      Operations: [
        ...(["DescribeKey", "CreateGrant", "Decrypt", "GenerateDataKeyWithoutPlaintext"] as const),
        ...(["ReEncryptFrom", "ReEncryptTo"] as const),
      ],
    }),
  );
}

async function putPolicy(...Statement: object[]): Promise<void> {
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
  await lab.source.kms.send(new PutKeyPolicyCommand({ KeyId: sharedKey, PolicyName: "default", Policy }));
}

interface Checked {
  ok: boolean;
  problems: { code: string; object: string; message: string; remedy: string }[];
  notes: string[];
}

async function check(...access: string[]): Promise<Checked> {
  const { stdout } = await controller(["check", ...BACKUP, ...access, "--json"], lab.env);
  const { ok, problems, notes } = JSON.parse(stdout) as Checked;
  return { ok, problems, notes };
}
