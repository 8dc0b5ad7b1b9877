import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EBS_KEY_ACTIONS } from "../../controller/aws/action-use.js";
import { policyFor } from "../../controller/iam-policy/policies.js";
import type { PolicyPlan } from "../../controller/iam-policy/resources.js";
import type { IamRequest } from "../lab/iam/iam-request.js";
import { isAllowed } from "../lab/iam/simulate.js";
import { planOf, restorePlanOf, SOURCE_KEY, WORKER_KEY } from "./plans.js";

type Party = "source" | "worker" | "controller";
type Asked = Pick<IamRequest, "action" | "resource" | "context">;

const ACCOUNTS = { source: "111111111111", worker: "222222222222", controller: "111111111111" };
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
const restored = restorePlanOf("job-20261124T120000Z-0123abcd");
const restoring: PolicyPlan = { ...restored, workerRole: null, repositoryKeys: [] };
const restoringAcross: PolicyPlan = {
  ...{ ...restoring, source: planOf().source, route: "cross-account", targetKey: SOURCE_KEY },
  request: { ...restored.request, to: "snapshot" },
};
const bridging: PolicyPlan = { ...across, route: "cross-account-region-bridge", copyKey: SOURCE_KEY };

const snapshot = "arn:aws:ec2:us-east-1::snapshot/snap-0123456789abcdef0";
const ec2 = (account: string, resource: string) => `arn:aws:ec2:us-east-1:${account}:${resource}`;
const volume = ec2(ACCOUNTS.worker, "volume/vol-0123456789abcdef0");
const worker = (id: string) => ec2(ACCOUNTS.worker, `instance/${id}`);
const ask = (action: string, resource: string, context: IamRequest["context"] = {}): Asked => ({
  ...{ action, resource, context },
});

const THIRD = "333333333333";
const sharingWith = (account: string) => ({ "ec2:Add/userId": account });
const THROUGH_EC2 = { "kms:ViaService": "ec2.us-east-1.amazonaws.com" };
const profileOf = (name: string) => `arn:aws:iam::222222222222:instance-profile/${name}`;
const RESTORED_LAUNCH = {
  ...{ ...MAKING, "ec2:MetadataHttpTokens": "required", "ec2:InstanceType": "m5.large" },
};
const WORKER_LAUNCH = {
  ...{ ...RESTORED_LAUNCH, "ec2:MetadataHttpPutResponseHopLimit": "1" },
  "ec2:InstanceProfile": profileOf("blockferry-agent"),
};
const SOURCE_ROLE = "arn:aws:iam::111111111111:role/blockferry-source";
const assuming: PolicyPlan = {
  ...planOf({}, { source: { profile: null, roleArn: SOURCE_ROLE, externalId: "ours", region: null } }),
  ...{ workerRole: null, repositoryKeys: [] },
};

/** For each policy: a request that it allows for the job, and the same request for a foreign resource. */
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
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, ...sharingWith(ACCOUNTS.worker) }),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...THEIRS, ...sharingWith(ACCOUNTS.worker) }),
  ],
  [
    "shares no snapshot with a third account",
    ...(["source", across] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, "ec2:Add/userId": ACCOUNTS.worker }),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, "ec2:Add/userId": THIRD }),
  ],
  [
    "makes no snapshot public",
    ...(["source", across] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, ...sharingWith(ACCOUNTS.worker) }),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, "ec2:Add/group": "all" }),
  ],
  [
    "makes no snapshot public beside sharing it",
    ...(["source", across] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, ...sharingWith(ACCOUNTS.worker) }),
    ask("ec2:ModifySnapshotAttribute", snapshot, {
      ...{ ...OURS, ...sharingWith(ACCOUNTS.worker), "ec2:Add/group": ["all"] },
    }),
  ],
  [
    "takes a snapshot from no third account",
    ...(["source", across] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, "ec2:Remove/userId": [ACCOUNTS.worker] }),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, "ec2:Remove/userId": [THIRD] }),
  ],
  [
    "shares what it has filled with the account that is restored to, and no other",
    ...(["worker", restoringAcross] as const),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, ...sharingWith(ACCOUNTS.source) }),
    ask("ec2:ModifySnapshotAttribute", snapshot, { ...OURS, ...sharingWith(THIRD) }),
  ],
  [
    "gives what it makes no tag of others",
    ...(["worker", across] as const),
    ask("ec2:CreateTags", volume, { ...MAKING, "ec2:CreateAction": "CreateVolume" }),
    ask("ec2:CreateTags", volume, {
      ...{ ...MAKING, "aws:TagKeys": [TAG, "team"], "ec2:CreateAction": "CreateVolume" },
    }),
  ],
  [
    "takes no tag of others off what it delivers",
    ...(["source", restoring] as const),
    ask("ec2:DeleteTags", volume, { ...OURS, "aws:TagKeys": [TAG, "Name"] }),
    ask("ec2:DeleteTags", volume, { ...OURS, "aws:TagKeys": [TAG, "team"] }),
  ],
  [
    "takes not all tags at once off what it delivers",
    ...(["source", restoring] as const),
    ask("ec2:DeleteTags", volume, { ...OURS, "aws:TagKeys": [TAG] }),
    ask("ec2:DeleteTags", volume, OURS),
  ],
  [
    "makes no volume that is not encrypted",
    ...(["worker", across] as const),
    ask("ec2:CreateVolume", volume, { ...MAKING, "ec2:Encrypted": "true" }),
    ask("ec2:CreateVolume", volume, { ...MAKING, "ec2:Encrypted": "false" }),
  ],
  [
    "launches no worker that gives its metadata to IMDSv1",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", worker("i-1"), WORKER_LAUNCH),
    ask("ec2:RunInstances", worker("i-1"), { ...WORKER_LAUNCH, "ec2:MetadataHttpTokens": "optional" }),
  ],
  [
    "launches no worker that gives its metadata further than a hop away",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", worker("i-1"), WORKER_LAUNCH),
    ask("ec2:RunInstances", worker("i-1"), { ...WORKER_LAUNCH, "ec2:MetadataHttpPutResponseHopLimit": "2" }),
  ],
  [
    "launches no worker with another profile",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", worker("i-1"), WORKER_LAUNCH),
    ask("ec2:RunInstances", worker("i-1"), { ...WORKER_LAUNCH, "ec2:InstanceProfile": profileOf("admin") }),
  ],
  [
    "launches no worker without a profile",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", worker("i-1"), {
      ...WORKER_LAUNCH,
      "ec2:InstanceProfile": profileOf("a/blockferry-agent"),
    }),
    ask("ec2:RunInstances", worker("i-1"), { ...MAKING, "ec2:MetadataHttpTokens": "required" }),
  ],
  [
    "launches no worker of another type",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", worker("i-1"), WORKER_LAUNCH),
    ask("ec2:RunInstances", worker("i-1"), { ...WORKER_LAUNCH, "ec2:InstanceType": "p5.48xlarge" }),
  ],
  [
    "launches no worker with a public address",
    ...(["worker", launching] as const),
    ask("ec2:RunInstances", ec2(ACCOUNTS.worker, "network-interface/eni-1"), {
      "ec2:AssociatePublicIpAddress": "false",
    }),
    ask("ec2:RunInstances", ec2(ACCOUNTS.worker, "network-interface/eni-1"), {
      "ec2:AssociatePublicIpAddress": "true",
    }),
  ],
  [
    "launches no restored instance that gives its metadata to IMDSv1",
    ...(["source", launchingRestored("app")] as const),
    ask("ec2:RunInstances", worker("i-1"), { ...RESTORED_LAUNCH, "ec2:InstanceProfile": profileOf("app") }),
    ask("ec2:RunInstances", worker("i-1"), {
      ...{
        ...RESTORED_LAUNCH,
        "ec2:InstanceProfile": profileOf("app"),
        "ec2:MetadataHttpTokens": "optional",
      },
    }),
  ],
  [
    "launches no restored instance with another profile",
    ...(["source", launchingRestored("app")] as const),
    ask("ec2:RunInstances", worker("i-1"), { ...RESTORED_LAUNCH, "ec2:InstanceProfile": profileOf("app") }),
    ask("ec2:RunInstances", worker("i-1"), { ...RESTORED_LAUNCH, "ec2:InstanceProfile": profileOf("admin") }),
  ],
  [
    "launches no restored instance with a profile where none was asked for",
    ...(["source", launchingRestored(null)] as const),
    ask("ec2:RunInstances", worker("i-1"), RESTORED_LAUNCH),
    ask("ec2:RunInstances", worker("i-1"), { ...RESTORED_LAUNCH, "ec2:InstanceProfile": profileOf("admin") }),
  ],
  [
    "launches no image but the one that a point names, whatever that is",
    ...(["source", launchingRestored(null, "ami-*")] as const),
    ask("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-*"),
    ask("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0"),
  ],
  [
    "assumes a role with no other external id",
    ...(["controller", assuming] as const),
    ask("sts:AssumeRole", SOURCE_ROLE, { "sts:ExternalId": "ours" }),
    ask("sts:AssumeRole", SOURCE_ROLE, { "sts:ExternalId": "theirs" }),
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
    ask("kms:Decrypt", WORKER_KEY, THROUGH_EC2),
    ask(
      "kms:Decrypt",
      WORKER_KEY.replace(/key\/.*/, "key/33333333-3333-4333-8333-333333333333"),
      THROUGH_EC2,
    ),
  ],
  [
    "grants a key to AWS services alone",
    ...(["worker", across] as const),
    ask("kms:CreateGrant", WORKER_KEY, { ...THROUGH_EC2, "kms:GrantIsForAWSResource": "true" }),
    ask("kms:CreateGrant", WORKER_KEY, { ...THROUGH_EC2, "kms:GrantIsForAWSResource": "false" }),
  ],
  ...usesThroughEc2("source", SOURCE_KEY),
  ...usesThroughEc2("worker", WORKER_KEY),
];

/** The role itself and other services may not use a key as EBS does. */
function usesThroughEc2(party: Party, key: string): typeof cases {
  const uses = EBS_KEY_ACTIONS.filter((action) => action !== "kms:DescribeKey");
  const granting = { "kms:GrantIsForAWSResource": "true" };
  const via = (service: string) => ({ "kms:ViaService": `${service}.us-east-1.amazonaws.com` });
  return uses.flatMap((action) =>
    [{}, via("secretsmanager")].map((foreign, index): (typeof cases)[number] => [
      `uses a key by ${action} ${index === 0 ? "through EC2 alone" : "through no other service"}`,
      ...([party, party === "source" ? bridging : across] as const),
      ask(action, key, { ...granting, ...THROUGH_EC2 }),
      ask(action, key, { ...granting, ...foreign }),
    ]),
  );
}

const JOB_KEY = WORKER_KEY.replace(/key\/.*/, "key/44444444-4444-4444-8444-444444444444");
const TOMBSTONE_KEY = WORKER_KEY.replace(/key\/.*/, "key/66666666-6666-4666-8666-666666666666");
const REPOSITORY_KEY = WORKER_KEY.replace(/key\/.*/, "key/55555555-5555-4555-8555-555555555555");
const DAY_MS = 86_400_000;
const lock = { mode: "governance", until: new Date(Date.now() + 30 * DAY_MS).toISOString() } as const;
const encrypted: PolicyPlan = {
  ...planOf(
    {},
    {
      ...{ jobKey: JOB_KEY, repository: { repo: "s3://backups/fleet", bucketOwner: "444444444444" } },
      options: { ...planOf().request.options, lock },
    },
  ),
  workerRole: null,
  repositoryKeys: [REPOSITORY_KEY],
  tombstoneKey: TOMBSTONE_KEY,
};
const inRepository = (key: string) => `arn:aws:s3:::backups/fleet/${key}`;
const NEW = { "s3:if-none-match": "*", "s3:ObjectCreationOperation": "true" };
const putting = (key: string, context: IamRequest["context"] = { "s3:ObjectCreationOperation": "true" }) =>
  ask("s3:PutObject", inRepository(key), context);
const OTHER_REPOSITORY = "00000000-0000-4000-8000-000000000000";
const BUCKET = "arn:aws:s3:::backups";
const OWNER = "444444444444";
const listing = (prefix: string) => ask("s3:ListBucket", BUCKET, { "s3:prefix": prefix });
const ownedRead = (account: string) =>
  ask("s3:GetObject", inRepository("points/one.json"), { "s3:ResourceAccount": account });
const retaining = (mode: string, days: number) =>
  ask("s3:PutObjectRetention", inRepository("packs/00/one"), {
    ...{ "s3:object-lock-mode": mode, "s3:object-lock-remaining-retention-days": String(days) },
  });
const opening = (repository: string) =>
  ask("kms:Decrypt", REPOSITORY_KEY, { "kms:EncryptionContext:blockferry:repository": repository });

/** Requests of a compromised worker. */
const ofAgent: [what: string, allowed: Asked, foreign: Asked][] = [
  ["signs no job", ask("kms:VerifyMac", JOB_KEY), ask("kms:GenerateMac", JOB_KEY)],
  ["opens no other repository", opening(encrypted.repositoryId), opening(OTHER_REPOSITORY)],
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
    ask("s3:PutObject", inRepository("jobs/one/result.json"), NEW),
    ask("s3:DeleteObject", inRepository("jobs/one/result.json")),
  ],
  ["asks no worker for a job", putting("jobs/one/status.json"), putting("jobs/one/job.json", NEW)],
  ["writes no journal", putting("jobs/one/figures.json"), putting("jobs/one/journal.json")],
  ["cancels no job", putting("jobs/one/result.json", NEW), putting("jobs/one/cancel")],
  [
    "reads no journal, which holds external ids",
    ask("s3:GetObject", inRepository("jobs/one/job.json")),
    ask("s3:GetObject", inRepository("jobs/one/journal-2.json")),
  ],
  ["overwrites no result", putting("jobs/one/result.json", NEW), putting("jobs/one/result.json")],
  ["overwrites no recovery point", putting("points/one.json", NEW), putting("points/one.json")],
  ["overwrites no pack", putting("packs/00/one", NEW), putting("packs/00/one")],
  [
    "overwrites no pack by an upload in parts, either",
    putting("packs/00/one", { "s3:ObjectCreationOperation": "false" }),
    putting("packs/00/one", { "s3:ObjectCreationOperation": "true" }),
  ],
  [
    "sends nothing but packs in parts",
    putting("packs/00/one", { "s3:ObjectCreationOperation": "false" }),
    putting("points/one.json", { "s3:ObjectCreationOperation": "false" }),
  ],
  ["overwrites no index segment", putting("index/one", NEW), putting("index/one")],
  ["overwrites no lease", putting("locks/one.json", NEW), putting("locks/one.json")],
  ["moves no verification on", putting("locks/one.beat"), putting("verify/cursor.json")],
  ["condemns no pack", putting("tmp/one"), putting("prune/one.json", NEW)],
  [
    "removes no index segment",
    ask("s3:DeleteObject", inRepository("tmp/one")),
    ask("s3:DeleteObject", inRepository("index/one")),
  ],
  ["lists no other repository in the bucket", listing("fleet/packs/"), listing("other/packs/")],
  ["lists no repository of which the name begins alike", listing("fleet/"), listing("fleet-b/")],
  ["does not list the whole bucket", listing("fleet/jobs/"), ask("s3:ListBucket", BUCKET)],
  ["reads no bucket of a stranger", ownedRead(OWNER), ownedRead(THIRD)],
  ["locks nothing for longer than asked", retaining("GOVERNANCE", 30), retaining("GOVERNANCE", 36_500)],
  ["locks nothing in a stricter mode than asked", retaining("GOVERNANCE", 30), retaining("COMPLIANCE", 30)],
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

/** Requests of roles that only use the repository. */
const ofRoles: [
  role: "controller" | "verify" | "maintenance",
  what: string,
  allowed: Asked,
  foreign: Asked,
][] = [
  ["controller", "writes no result", putting("jobs/one/job.json", NEW), putting("jobs/one/result.json", NEW)],
  ["controller", "overwrites no job", putting("jobs/one/job.json", NEW), putting("jobs/one/job.json")],
  ["controller", "writes no heartbeat", putting("jobs/one/journal-2.json"), putting("jobs/one/status.json")],
  [
    "controller",
    "reads no pack",
    ask("s3:GetObject", inRepository("points/one.json")),
    ask("s3:GetObject", inRepository("packs/00/one")),
  ],
  ["controller", "opens no other repository", opening(encrypted.repositoryId), opening(OTHER_REPOSITORY)],
  ["verify", "writes no recovery point", putting("locks/one.beat"), putting("points/one.json", NEW)],
  [
    "verify",
    "removes no pack",
    ask("s3:DeleteObject", inRepository("locks/one.json")),
    ask("s3:DeleteObject", inRepository("packs/00/one")),
  ],
  [
    "verify",
    "signs no tombstone",
    ask("kms:VerifyMac", TOMBSTONE_KEY),
    ask("kms:GenerateMac", TOMBSTONE_KEY),
  ],
  ["maintenance", "signs no job", ask("kms:GenerateMac", TOMBSTONE_KEY), ask("kms:GenerateMac", JOB_KEY)],
  [
    "controller",
    "signs no tombstone",
    ask("kms:GenerateMac", JOB_KEY),
    ask("kms:GenerateMac", TOMBSTONE_KEY),
  ],
  [
    "maintenance",
    "removes neither config nor keys",
    ask("s3:DeleteObject", inRepository("points/one.json")),
    ask("s3:DeleteObject", inRepository("keys/one.json")),
  ],
  ["maintenance", "asks no worker for a job", putting("prune/one.json"), putting("jobs/one/job.json", NEW)],
  ["maintenance", "overwrites no pack", putting("packs/00/one", NEW), putting("packs/00/one")],
];

/** Requests that the bucket's policy denies even to principals with all permissions. */
const ofBucket: [what: string, allowed: Asked, foreign: Asked][] = [
  ["takes nothing without TLS", putting("tmp/one"), putting("tmp/one", { "aws:SecureTransport": "false" })],
  ["takes nothing by TLS 1.1", putting("tmp/one"), putting("tmp/one", { "s3:TlsVersion": "1.1" })],
  ["has no recovery point overwritten", putting("points/one.json", NEW), putting("points/one.json")],
  ["has no config overwritten", putting("config.json", NEW), putting("config.json")],
  ["has no key overwritten", putting("keys/one.json", NEW), putting("keys/one.json")],
  [
    "has no pack overwritten, in parts either",
    putting("packs/00/one", { "s3:ObjectCreationOperation": "false" }),
    putting("packs/00/one"),
  ],
  [
    "gives nothing to another account",
    ask("s3:GetObject", inRepository("points/one.json"), { "aws:PrincipalAccount": ACCOUNTS.worker }),
    ask("s3:GetObject", inRepository("points/one.json"), { "aws:PrincipalAccount": THIRD }),
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

  for (const [role, what, allowed, foreign] of ofRoles) {
    test(`of the ${role} role ${what}`, async () => {
      assert.equal(await decide(role, encrypted, allowed), true, "what it is for");
      assert.equal(await decide(role, encrypted, foreign), false, "what it is not for");
    });
  }

  for (const [what, allowed, foreign] of ofBucket) {
    test(`of the bucket ${what}`, async () => {
      assert.equal(await passes(allowed), true, "what blockferry does");
      assert.equal(await passes(foreign), false, "what nobody may");
    });
  }
});

/**
 * Returns the plan of a restore to an instance.
 * @param profile instance profile, which the user named
 * @param imageId from the recovery point
 */
function launchingRestored(profile: string | null, imageId = "ami-1"): PolicyPlan {
  const launch = {
    ...{ imageId, instanceType: "m5.large", subnetId: "subnet-1", securityGroupIds: ["sg-1"], profile },
    ...{ keyName: null, rootVolume: "root", leftOutDevices: [], tags: {} },
  };
  const request = { ...restored.request, to: "instance" as const };
  return { ...restoring, launch, request } as PolicyPlan;
}

/** Returns whether the bucket's policy allows a request. */
function passes({ context, ...asked }: Asked): Promise<boolean> {
  const everything = { Effect: "Allow", Action: "*", Resource: "*" };
  const policy = { Version: "2012-10-17", Statement: [everything] };
  const usual = {
    ...{ "aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalIsAWSService": "false" },
    "aws:PrincipalAccount": ACCOUNTS.worker,
  };
  const principal = `arn:aws:iam::${ACCOUNTS.worker}:role/anybody`;
  const request = { ...asked, principal, owner: ACCOUNTS.worker, context: { ...usual, ...context } };
  const bucketUser = ACCOUNTS.controller;
  return isAllowed(request, [policy], policyFor("bucket", { ...encrypted, bucketUser }));
}

type Role = Party | "agent" | "verify" | "maintenance";

function decide(party: Role, plan: PolicyPlan, asked: Asked): Promise<boolean> {
  const owner = ACCOUNTS[party === "source" || party === "controller" ? party : "worker"];
  const principal = `arn:aws:iam::${owner}:role/blockferry-${party}`;
  const Principal = { AWS: `arn:aws:iam::${owner}:root` };
  const leaveToAccount = { Effect: "Allow", Principal, Action: "kms:*", Resource: "*" };
  const keyPolicy = { Version: "2012-10-17", Statement: [leaveToAccount] };
  const resourcePolicy = asked.action.startsWith("kms:") ? keyPolicy : undefined;
  const bucket = asked.action.startsWith("s3:") ? { "s3:ResourceAccount": OWNER } : {};
  const context = { ...bucket, ...asked.context };
  return isAllowed({ ...asked, context, owner, principal }, [policyFor(party, plan)], resourcePolicy);
}
