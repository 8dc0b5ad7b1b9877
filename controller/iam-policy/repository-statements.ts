import { parseS3Location } from "../../repository/storage/s3/s3-location.js";
import type { JobPlan } from "../plan.js";
import type { Statement } from "./policy-document.js";

/** What each reads and writes in the repository, as prefixes of keys. */
const OBJECTS: Record<"controller" | "agent", Record<string, string[]>> = {
  controller: { "s3:GetObject": ["config.json", "keys/*", "jobs/*", "points/*"], "s3:PutObject": ["jobs/*"] },
  agent: {
    "s3:GetObject": ["*"],
    "s3:PutObject": ["packs/*", "index/*", "points/*", "jobs/*", "locks/*", "tmp/*", "verify/*"],
    "s3:DeleteObject": ["locks/*", "tmp/*"],
    "s3:AbortMultipartUpload": ["packs/*"],
  },
};

/** Beside its heartbeat it writes a lease alone. */
const RESTORING_AGENT: Record<string, string[]> = {
  "s3:GetObject": ["*"],
  "s3:PutObject": ["jobs/*", "locks/*"],
  "s3:DeleteObject": ["locks/*"],
};

const BUCKET_ACTIONS = {
  controller: ["s3:ListBucket"],
  agent: ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
} as const;

/** For a repository in S3; a local directory needs no policy. */
export function repositoryStatements(plan: JobPlan, who: "controller" | "agent"): Statement[] {
  const { repo } = plan.request.repository;
  if (!repo.startsWith("s3://")) return [];
  const { bucket, prefix } = parseS3Location(repo, {});
  const partition = plan[who === "agent" ? "worker" : "source"].partition;
  const bucketArn = `arn:${partition}:s3:::${bucket}`;
  const below = (key: string) => `${bucketArn}/${prefix}${key}`;
  const objects = who === "agent" && plan.kind === "restore" ? RESTORING_AGENT : OBJECTS[who];
  const byObject = Object.entries(objects).map(([action, keys]) => ({
    Effect: "Allow" as const,
    Action: [action],
    Resource: keys.map(below),
  }));
  return [
    { Effect: "Allow", Action: [...BUCKET_ACTIONS[who]], Resource: [bucketArn] },
    ...byObject,
    ...(who === "controller" ? [removesOldJobs(below("jobs/*"))] : []),
    ...(who === "agent" ? lockStatements(plan, bucketArn, below) : []),
    ...encryptionStatements(plan),
  ];
}

/** Optional, as its name marks it: without it, documents of jobs that are long finished stay. */
function removesOldJobs(jobs: string): Statement {
  return { Sid: "BlockferryRemovesOldJobs", Effect: "Allow", Action: ["s3:DeleteObject"], Resource: [jobs] };
}

/** For `--lock-days` and `--lock-until`. */
function lockStatements(plan: JobPlan, bucketArn: string, below: (key: string) => string): Statement[] {
  if (plan.kind === "restore" || plan.request.options.lock === undefined) return [];
  return [
    { Effect: "Allow", Action: ["s3:GetBucketObjectLockConfiguration"], Resource: [bucketArn] },
    {
      ...{ Effect: "Allow", Action: ["s3:GetObjectRetention", "s3:PutObjectRetention"] },
      Resource: ["config.json", "keys/*", "packs/*", "points/*"].map(below),
    },
  ];
}

/**
 * For objects that S3 encrypts with a key of the user's, whoever reads or writes them. S3 asks KMS in their name, so the key
 * can be held to that. AWS: "Using server-side encryption with AWS KMS keys (SSE-KMS)"; uploads in parts need Decrypt, too.
 */
function encryptionStatements({ request }: JobPlan): Statement[] {
  const key = request.options.storage?.encryption?.kmsKey;
  if (key === undefined) return [];
  const [, , , region] = key.split(":");
  return [
    {
      ...{ Effect: "Allow", Action: ["kms:GenerateDataKey", "kms:Decrypt"], Resource: [key] },
      // The key is in the bucket's Region. In China the name goes on with ".cn".
      Condition: { StringLike: { "kms:ViaService": `s3.${region}.amazonaws.com*` } },
    },
  ];
}
