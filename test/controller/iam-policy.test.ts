import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { POLICY_PARTIES, type PolicyParty, policyFor, usesOf } from "../../controller/iam-policy/policies.js";
import type { Statement } from "../../controller/iam-policy/policy-document.js";
import type { PolicyPlan } from "../../controller/iam-policy/resources.js";
import { ROUTES } from "../../controller/plan/route.js";
import { planOf as backupPlanOf, SOURCE_KEY, WORKER_KEY } from "./plans.js";

const WORKER_ROLE = "arn:aws:iam::222222222222:role/blockferry-agent";
const planOf = (...changes: Parameters<typeof backupPlanOf>) => ({
  ...backupPlanOf(...changes),
  workerRole: WORKER_ROLE,
  repositoryKeys: [],
});
const actions = (statements: Statement[]) => new Set(statements.flatMap(({ Action }) => Action));

describe("policies", () => {
  for (const route of ROUTES) {
    test(`of ${route} hold every action that its steps declare, and no other`, () => {
      const plan = planOf({ route, copyKey: WORKER_KEY });
      for (const party of ["source", "worker"] as const) {
        const declared = usesOf(plan).flatMap((use) => (use.party === party ? use.action : []));
        assert.deepEqual(actions(policyFor(party, plan).Statement), new Set(declared));
      }
    });
  }

  test("have no wildcard in an action, and one in a resource only for Describe calls", () => {
    const plan = planOf();
    for (const party of ["source", "worker"] as const) {
      for (const { Action, Resource } of policyFor(party, plan).Statement) {
        assert.ok(Action.every((action) => !action.includes("*")));
        if (Resource.includes("*"))
          assert.ok(
            Action.every((action) => /:(Describe|Get)/.test(action)),
            String(Action),
          );
      }
    }
  });

  test("let nothing be changed or removed that does not carry the tag of a job", () => {
    const changes = /:(Delete|Modify|Terminate)/;
    for (const party of ["source", "worker"] as const) {
      for (const { Action, Condition } of policyFor(party, planOf()).Statement) {
        if (!Action.some((action) => changes.test(action))) continue;
        assert.deepEqual(Condition?.StringLike, { "aws:ResourceTag/blockferry:job": "job-*" });
      }
    }
  });

  test("allow tags only on resources that are created in the same call", () => {
    for (const party of ["source", "worker"] as const) {
      const tagging = policyFor(party, planOf()).Statement.filter(({ Action }) =>
        Action.includes("ec2:CreateTags"),
      );
      assert.ok(tagging.length > 0);
      for (const { Condition } of tagging)
        assert.match(String(Condition?.StringEquals?.["ec2:CreateAction"]), /^Create(Snapshots|Volume)$/);
    }
  });

  test("of the worker take the source account's snapshots, and no others that are shared with it", () => {
    const statements = policyFor("worker", planOf()).Statement;
    const ofSnapshots = statements.filter(({ Resource }) => Resource.some((arn) => /:snapshot\//.test(arn)));
    assert.deepEqual(
      ofSnapshots.map(({ Action, Condition }) => [Action, Condition]),
      [[["ec2:CreateVolume"], { StringEquals: { "ec2:Owner": "111111111111" } }]],
    );
  });

  test("of the worker pass the role of the profile to EC2, and nothing else", () => {
    const launch = {
      ...({ kind: "launch", imageId: "ami-1", subnetId: "subnet-1", instanceType: "m5.large" } as const),
      ...{ profile: "blockferry-agent", securityGroupIds: [] },
    };
    const passing = policyFor("worker", planOf({}, { workerInstance: launch })).Statement.filter(
      ({ Action }) => Action.includes("iam:PassRole"),
    );
    assert.deepEqual(passing, [
      {
        ...{ Effect: "Allow", Action: ["iam:PassRole"], Resource: [WORKER_ROLE] },
        Condition: { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } },
      },
    ]);
  });

  test("of the source delete no snapshot that is to be kept", () => {
    const plan = planOf({}, { snapshots: "keep" });
    assert.ok(actions(policyFor("source", planOf()).Statement).has("ec2:DeleteSnapshot"));
    assert.ok(!actions(policyFor("source", plan).Statement).has("ec2:DeleteSnapshot"));
  });

  test("of the key name the worker's role, and let it grant the key to AWS services alone", () => {
    const [look, use, grant] = policyFor("key-policy", planOf()).Statement;
    for (const statement of [look, use, grant])
      assert.deepEqual(statement?.Principal, { AWS: "arn:aws:iam::222222222222:role/blockferry-worker" });
    assert.deepEqual([look?.Action, look?.Condition], [["kms:DescribeKey"], undefined]);
    const throughEc2 = { StringEquals: { "kms:ViaService": "ec2.us-east-1.amazonaws.com" } };
    assert.deepEqual(use?.Condition, throughEc2);
    assert.deepEqual(grant?.Action, ["kms:CreateGrant"]);
    assert.deepEqual(grant?.Condition, { ...throughEc2, Bool: { "kms:GrantIsForAWSResource": "true" } });
    assert.deepEqual(policyFor("key-policy", planOf({ route: "same-account" })).Statement, []);
  });

  test("of the worker name the source's key and its own, and nothing else of KMS", () => {
    const keys = policyFor("worker", planOf())
      .Statement.filter(({ Action }) => Action.some((action) => action.startsWith("kms:")))
      .flatMap(({ Resource }) => Resource);
    assert.deepEqual(new Set(keys), new Set([SOURCE_KEY, WORKER_KEY]));
  });

  test("of the controller let it assume the roles that it is given, and act itself where it has none", () => {
    const role = "arn:aws:iam::111111111111:role/blockferry-source";
    const source = { profile: null, roleArn: role, externalId: null, region: null };
    const statements = policyFor("controller", planOf({}, { source })).Statement;
    assert.deepEqual(statements.find(({ Action }) => Action.includes("sts:AssumeRole"))?.Resource, [role]);
    assert.ok(actions(statements).has("ec2:CreateVolume"));
    assert.ok(!actions(statements).has("ec2:CreateSnapshots"));
  });

  test("mark reading key policies and removing old jobs as optional, with names that no other statement has", () => {
    const sids = policyFor("controller", planOf()).Statement.flatMap(({ Sid }) => Sid ?? []);
    assert.deepEqual(sids, [
      "BlockferryRemovesOldJobs",
      "BlockferryChecksSourceKeys",
      "BlockferryChecksWorkerKeys",
    ]);
    for (const { Sid, Action, Resource } of policyFor("worker", planOf()).Statement) {
      if (Sid === undefined) continue;
      assert.deepEqual([Action, Resource], [["kms:GetKeyPolicy", "kms:ListGrants"], [WORKER_KEY]]);
    }
  });

  test("leave keys that AWS manages to their own policies, except for describing them", () => {
    const managed = policyFor("worker", planOf({ awsManagedKeys: [WORKER_KEY] })).Statement;
    const ofKey = managed.filter(({ Resource }) => Resource.includes(WORKER_KEY));
    assert.deepEqual(
      ofKey.flatMap(({ Action }) => Action),
      ["kms:DescribeKey"],
    );
  });

  test("of the agent are about the repository alone", () => {
    const { Statement } = policyFor("agent", planOf());
    assert.ok([...actions(Statement)].every((action) => action.startsWith("s3:")));
    assert.ok(
      Statement.flatMap(({ Resource }) => Resource).every((arn) => arn.startsWith("arn:aws:s3:::backups")),
    );
  });

  test("let the controller alone sign jobs, and the agent only see that they are signed", () => {
    const jobKey = "arn:aws:kms:us-east-1:222222222222:key/44444444-4444-4444-8444-444444444444";
    const plan = planOf({}, { jobKey });
    const allowed = (party: PolicyParty, of = plan) =>
      policyFor(party, of).Statement.filter(
        ({ Action, Resource }) => Resource.includes(jobKey) || Action.some((action) => /Mac$/.test(action)),
      );
    const statement = (Action: string[]) => [{ Effect: "Allow", Action, Resource: [jobKey] }];
    assert.deepEqual(allowed("controller"), statement(["kms:DescribeKey", "kms:GenerateMac"]));
    assert.deepEqual(allowed("agent"), statement(["kms:VerifyMac"]));
    const others = POLICY_PARTIES.filter((party) => party !== "controller" && party !== "agent");
    for (const party of others) assert.deepEqual(allowed(party), []);
    for (const party of POLICY_PARTIES)
      assert.deepEqual(allowed(party, planOf()), [], "where jobs are not signed");
  });

  test("let maintenance alone sign tombstones, and verify only see that they are signed", () => {
    const tombstoneKey = "arn:aws:kms:us-east-1:222222222222:key/66666666-6666-4666-8666-666666666666";
    const allowed = (party: PolicyParty, plan: PolicyPlan) =>
      policyFor(party, plan).Statement.filter(
        ({ Action, Resource }) =>
          Resource.includes(tombstoneKey) || Action.some((action) => /Mac$/.test(action)),
      );
    const statement = (Action: string[]) => [{ Effect: "Allow", Action, Resource: [tombstoneKey] }];
    const plan = { ...planOf(), tombstoneKey };
    assert.deepEqual(allowed("maintenance", plan), statement(["kms:GenerateMac", "kms:VerifyMac"]));
    assert.deepEqual(allowed("verify", plan), statement(["kms:VerifyMac"]));
    const others = POLICY_PARTIES.filter((party) => party !== "maintenance" && party !== "verify");
    for (const party of others) assert.deepEqual(allowed(party, plan), []);
    for (const party of POLICY_PARTIES)
      assert.deepEqual(allowed(party, planOf()), [], "where tombstones are not signed");
  });

  test("let controller and agent use the key that S3 encrypts the repository with, through S3 alone", () => {
    const kmsKey = "arn:aws:kms:eu-west-1:333333333333:key/33333333-3333-4333-8333-333333333333";
    const storage = { encryption: { algorithm: "aws:kms", kmsKey } } as const;
    const plan = planOf({}, { options: { ...planOf().request.options, storage } });
    for (const party of ["controller", "agent"] as const) {
      const found = policyFor(party, plan).Statement.filter(({ Resource }) => Resource.includes(kmsKey));
      assert.deepEqual(found, [
        {
          ...{ Effect: "Allow", Action: ["kms:GenerateDataKey", "kms:Decrypt"], Resource: [kmsKey] },
          Condition: { StringEquals: { "kms:ViaService": "s3.eu-west-1.amazonaws.com" } },
        },
      ]);
    }
    for (const party of ["source", "worker"] as const) {
      assert.ok(policyFor(party, plan).Statement.every(({ Resource }) => !Resource.includes(kmsKey)));
    }
  });
});
