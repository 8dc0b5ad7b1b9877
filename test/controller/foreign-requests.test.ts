import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { policyFor } from "../../controller/iam-policy/policies.js";
import type { PolicyPlan } from "../../controller/iam-policy/resources.js";
import type { IamRequest } from "../lab/iam/iam-request.js";
import { isAllowed } from "../lab/iam/simulate.js";
import { planOf, SOURCE_KEY, WORKER_KEY } from "./plans.js";

type Party = "source" | "worker";
type Asked = Pick<IamRequest, "action" | "resource" | "context">;

const ACCOUNTS = { source: "111111111111", worker: "222222222222" };
const WORKER_ROLE = "arn:aws:iam::222222222222:role/blockferry-agent";
const TAG = "blockferry:job";
const OURS = { [`aws:ResourceTag/${TAG}`]: "job-20261124T120000Z-0123abcd" };
const THEIRS = { "aws:ResourceTag/Name": "production" };
const MAKING = { [`aws:RequestTag/${TAG}`]: "job-20261124T120000Z-0123abcd", "aws:TagKeys": [TAG] };

const launch = {
  ...({ kind: "launch", imageId: "ami-1", subnetId: "subnet-1", instanceType: "m5.large" } as const),
  ...{ profile: "blockferry-agent", securityGroupIds: ["sg-1"] },
};
const across = { ...planOf(), workerRole: null, repositoryKeys: [] };
const launching = { ...planOf({}, { workerInstance: launch }), workerRole: WORKER_ROLE, repositoryKeys: [] };
const copying: PolicyPlan = { ...across, route: "cross-account-region", copyKey: WORKER_KEY };
const bridging: PolicyPlan = { ...across, route: "cross-account-region-bridge", copyKey: SOURCE_KEY };

const snapshot = "arn:aws:ec2:us-east-1::snapshot/snap-0123456789abcdef0";
const ec2 = (account: string, resource: string) => `arn:aws:ec2:us-east-1:${account}:${resource}`;
const volume = ec2(ACCOUNTS.worker, "volume/vol-0123456789abcdef0");
const worker = (id: string) => ec2(ACCOUNTS.worker, `instance/${id}`);
const ask = (action: string, resource: string, context: IamRequest["context"] = {}): Asked => ({
  ...{ action, resource, context },
});

/** What each policy allows for the job, and the same for what is not the job's. */
const cases: [what: string, party: Party, plan: PolicyPlan, allowed: Asked, foreign: Asked][] = [
  [
    "deletes no snapshot without the tag",
    ...(["source", across] as const),
    ask("ec2:DeleteSnapshot", snapshot, OURS),
    ask("ec2:DeleteSnapshot", snapshot, THEIRS),
  ],
  [
    "shares no snapshot without the tag",
    ...(["source", across] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, OURS),
    ask("ec2:ModifySnapshotAttribute", snapshot, THEIRS),
  ],
  [
    "copies no snapshot without the tag, whatever tag the copy gets",
    ...(["source", bridging] as const),
    ask("ec2:CopySnapshot", snapshot, OURS),
    ask("ec2:CopySnapshot", snapshot, { ...THEIRS, ...MAKING }),
  ],
  [
    "snapshots no other instance",
    ...(["source", across] as const),
    ask("ec2:CreateSnapshots", ec2(ACCOUNTS.source, "instance/i-0a1b2c3d4e5f60718")),
    ask("ec2:CreateSnapshots", ec2(ACCOUNTS.source, "instance/i-00000000000000002")),
  ],
  [
    "tags nothing that exists",
    ...(["source", across] as const),
    ask("ec2:CreateTags", snapshot, { ...MAKING, "ec2:CreateAction": "CreateSnapshots" }),
    ask("ec2:CreateTags", snapshot, MAKING),
  ],
  [
    "makes volumes of no third account's snapshot",
    ...(["worker", across] as const),
    ask("ec2:CreateVolume", snapshot, { "ec2:Owner": ACCOUNTS.source }),
    ask("ec2:CreateVolume", snapshot, { "ec2:Owner": "333333333333" }),
  ],
  [
    "copies no third account's snapshot",
    ...(["worker", copying] as const),
    ask("ec2:CopySnapshot", snapshot, { "ec2:Owner": ACCOUNTS.source }),
    ask("ec2:CopySnapshot", snapshot, { "ec2:Owner": "333333333333", ...MAKING }),
  ],
  [
    "makes no volume without the tag",
    ...(["worker", across] as const),
    ask("ec2:CreateVolume", volume, MAKING),
    ask("ec2:CreateVolume", volume, {}),
  ],
  [
    "deletes no volume without the tag",
    ...(["worker", across] as const),
    ask("ec2:DeleteVolume", volume, OURS),
    ask("ec2:DeleteVolume", volume, THEIRS),
  ],
  [
    "attaches nothing to another instance",
    ...(["worker", across] as const),
    ask("ec2:AttachVolume", worker("i-0f1e2d3c4b5a69788")),
    ask("ec2:AttachVolume", worker("i-00000000000000002")),
  ],
  [
    "terminates no instance without the tag",
    ...(["worker", launching] as const),
    ask("ec2:TerminateInstances", worker("i-00000000000000003"), OURS),
    ask("ec2:TerminateInstances", worker("i-00000000000000003"), THEIRS),
  ],
  [
    "passes no other role",
    ...(["worker", launching] as const),
    ask("iam:PassRole", WORKER_ROLE, { "iam:PassedToService": "ec2.amazonaws.com" }),
    ask("iam:PassRole", "arn:aws:iam::222222222222:role/admin", {
      "iam:PassedToService": "ec2.amazonaws.com",
    }),
  ],
  [
    "passes the role to no other service",
    ...(["worker", launching] as const),
    ask("iam:PassRole", WORKER_ROLE, { "iam:PassedToService": "ec2.amazonaws.com" }),
    ask("iam:PassRole", WORKER_ROLE, { "iam:PassedToService": "lambda.amazonaws.com" }),
  ],
  [
    "uses no other key",
    ...(["worker", across] as const),
    ask("kms:Decrypt", WORKER_KEY),
    ask("kms:Decrypt", WORKER_KEY.replace(/key\/.*/, "key/33333333-3333-4333-8333-333333333333")),
  ],
  [
    "grants a key to AWS services alone",
    ...(["worker", across] as const),
    ask("kms:CreateGrant", WORKER_KEY, { "kms:GrantIsForAWSResource": "true" }),
    ask("kms:CreateGrant", WORKER_KEY, { "kms:GrantIsForAWSResource": "false" }),
  ],
];

const JOB_KEY = WORKER_KEY.replace(/key\/.*/, "key/44444444-4444-4444-8444-444444444444");
const REPOSITORY_KEY = WORKER_KEY.replace(/key\/.*/, "key/55555555-5555-4555-8555-555555555555");
const encrypted: PolicyPlan = {
  ...planOf({}, { jobKey: JOB_KEY }),
  workerRole: null,
  repositoryKeys: [REPOSITORY_KEY],
};
const inRepository = (key: string) => `arn:aws:s3:::backups/fleet/${key}`;
const opening = (repository: string) =>
  ask("kms:Decrypt", REPOSITORY_KEY, { "kms:EncryptionContext:blockferry:repository": repository });

/** The same of a worker that somebody has broken into. */
const ofAgent: [what: string, allowed: Asked, foreign: Asked][] = [
  ["signs no job", ask("kms:VerifyMac", JOB_KEY), ask("kms:GenerateMac", JOB_KEY)],
  [
    "opens no other repository",
    opening(encrypted.repositoryId),
    opening("00000000-0000-4000-8000-000000000000"),
  ],
  [
    "removes no recovery point",
    ask("s3:DeleteObject", inRepository("locks/one")),
    ask("s3:DeleteObject", inRepository("points/one.json")),
  ],
  [
    "removes no pack",
    ask("s3:DeleteObject", inRepository("tmp/one")),
    ask("s3:DeleteObject", inRepository("packs/00/one")),
  ],
  [
    "removes no job's documents",
    ask("s3:PutObject", inRepository("jobs/one/result.json")),
    ask("s3:DeleteObject", inRepository("jobs/one/result.json")),
  ],
  [
    "replaces neither config nor keys",
    ask("s3:GetObject", inRepository("config.json")),
    ask("s3:PutObject", inRepository("config.json")),
  ],
  [
    "reads nothing of another repository in the bucket",
    ask("s3:GetObject", inRepository("points/one.json")),
    ask("s3:GetObject", "arn:aws:s3:::backups/other/points/one.json"),
  ],
];

describe("the policy", () => {
  for (const [what, party, plan, allowed, foreign] of cases) {
    test(`of the ${party} ${what}`, async () => {
      assert.equal(await decide(party, plan, allowed), true, "what the job does");
      assert.equal(await decide(party, plan, foreign), false, "what it does not");
    });
  }

  for (const [what, allowed, foreign] of ofAgent) {
    test(`of the agent ${what}`, async () => {
      assert.equal(await decide("agent", encrypted, allowed), true, "what the job does");
      assert.equal(await decide("agent", encrypted, foreign), false, "what it does not");
    });
  }
});

function decide(party: Party | "agent", plan: PolicyPlan, asked: Asked): Promise<boolean> {
  const owner = ACCOUNTS[party === "agent" ? "worker" : party];
  const principal = `arn:aws:iam::${owner}:role/blockferry-${party}`;
  const Principal = { AWS: `arn:aws:iam::${owner}:root` };
  const leaveToAccount = { Effect: "Allow", Principal, Action: "kms:*", Resource: "*" };
  const keyPolicy = { Version: "2012-10-17", Statement: [leaveToAccount] };
  const resourcePolicy = asked.action.startsWith("kms:") ? keyPolicy : undefined;
  return isAllowed({ ...asked, owner, principal }, [policyFor(party, plan)], resourcePolicy);
}
