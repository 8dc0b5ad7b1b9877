import { parseS3Location } from "../../repository/storage/s3/s3-location.js";
import type { JobPlan } from "../plan/plan.js";
import { allOf, type Condition, heldTo, literal, type Statement, viaService } from "./policy-document.js";

/** The S3 bucket of a repository, as policies name it. */
export interface RepositoryBucket {
  bucket: string;
  arn: string;
  /** Returns ARNs of the repository's objects that match key patterns. */
  below(keys: string[]): string[];
  prefix: string;
  /** Account of the bucket; undefined if it was not given. */
  owner: string | undefined;
}

/**
 * Returns the bucket of a plan's repository.
 * @returns undefined for a local directory, which needs no policy
 */
export function bucketOf(plan: JobPlan): RepositoryBucket | undefined {
  const { repo, bucketOwner } = plan.request.repository;
  if (!repo.startsWith("s3://")) return undefined;
  const { bucket, prefix } = parseS3Location(repo, {});
  const arn = `arn:${plan.worker.partition}:s3:::${bucket}`;
  const below = (keys: string[]) => keys.map((key) => `${arn}/${literal(prefix)}${key}`);
  return { bucket, arn, below, prefix, owner: bucketOwner };
}

/**
 * Creating an upload and sending its parts create no object, so no condition applies to them.
 * AWS: "Enforce conditional writes on Amazon S3 buckets".
 */
const WRITES_ONCE: Condition = { Null: { "s3:if-none-match": "false" } };
const SENDS_PARTS: Condition = { Bool: { "s3:ObjectCreationOperation": "false" } };

/**
 * Returns the statements of a role for a repository in S3.
 * They cover only objects of this repository.
 */
export function repositoryStatements(plan: JobPlan, role: RepositoryRole): Statement[] {
  const bucket = bucketOf(plan);
  if (bucket === undefined) return [];
  const { read, create, replace, upload, remove } = REPOSITORY_RIGHTS[role];
  const allow = (Action: string[], Resource: string[], condition?: Condition): Statement[] =>
    Resource.length === 0
      ? []
      : [{ Effect: "Allow", Action, Resource, ...heldTo(allOf(condition, ofOwner(bucket))) }];
  return [
    ...allow(["s3:ListBucket"], [bucket.arn], listedBelow(bucket)),
    // S3 has no prefix condition for this action; it lists the names of unfinished uploads in the whole
    // bucket.
    ...(upload.length === 0 ? [] : allow(["s3:ListBucketMultipartUploads"], [bucket.arn])),
    ...allow(["s3:GetObject"], bucket.below(read)),
    ...allow(["s3:PutObject"], bucket.below(create), WRITES_ONCE),
    ...allow(["s3:PutObject"], bucket.below(replace)),
    ...allow(["s3:PutObject"], bucket.below(upload), SENDS_PARTS),
    ...allow(["s3:DeleteObject"], bucket.below(remove)),
    ...allow(["s3:AbortMultipartUpload"], bucket.below(upload)),
    ...(role === "controller" ? removesOldJobs(allow(["s3:DeleteObject"], bucket.below(["jobs/*"]))) : []),
    ...(role === "agent" ? lockStatements(plan, bucket) : []),
    ...(role === "maintenance" ? allow(["s3:GetBucketObjectLockConfiguration"], [bucket.arn]) : []),
    ...(role === "maintenance"
      ? allow(["s3:GetObjectRetention"], bucket.below(["packs/*", "points/*"]))
      : []),
    ...encryptionStatements(plan),
  ];
}

/** Returns a condition against a bucket of the same name in another account. */
function ofOwner({ owner }: RepositoryBucket): Condition {
  return owner === undefined ? {} : { StringEquals: { "s3:ResourceAccount": owner } };
}

/**
 * Returns the prefix condition.
 * When S3 decides whether to report a missing object, it compares the object's key with this prefix.
 */
function listedBelow({ prefix }: RepositoryBucket): Condition {
  return prefix === "" ? {} : { StringLike: { "s3:prefix": `${literal(prefix)}*` } };
}

/** Marks the statements as optional, by their Sid: without them, documents of old jobs stay. */
function removesOldJobs(statements: Statement[]): Statement[] {
  return statements.map((statement) => ({ Sid: "BlockferryRemovesOldJobs", ...statement }));
}

const DAY_MS = 86_400_000;

/** Returns the permission to lock objects in the given mode, for at most the given time. */
function lockStatements(plan: JobPlan, bucket: RepositoryBucket): Statement[] {
  if (plan.kind === "restore" || plan.request.options.lock === undefined) return [];
  const { mode, until } = plan.request.options.lock;
  const days = Math.ceil((Date.parse(until) - Date.now()) / DAY_MS);
  const Resource = bucket.below(["config.json", "keys/*", "packs/*", "points/*"]);
  const asAsked = allOf(ofOwner(bucket), {
    StringEquals: { "s3:object-lock-mode": mode.toUpperCase() },
    NumericLessThanEquals: { "s3:object-lock-remaining-retention-days": String(days) },
  });
  return [
    {
      ...{ Effect: "Allow", Action: ["s3:GetBucketObjectLockConfiguration"], Resource: [bucket.arn] },
      ...heldTo(ofOwner(bucket)),
    },
    { Effect: "Allow", Action: ["s3:GetObjectRetention"], Resource, ...heldTo(ofOwner(bucket)) },
    { Effect: "Allow", Action: ["s3:PutObjectRetention"], Resource, Condition: asAsked },
  ];
}

/**
 * Returns the permission to use the customer key that encrypts objects in S3.
 * Every reader and writer needs it. S3 calls KMS on their behalf, so the key can be limited to S3. Multipart
 * uploads also need Decrypt.
 * AWS: "Using server-side encryption with AWS KMS keys (SSE-KMS)"
 */
function encryptionStatements({ request }: JobPlan): Statement[] {
  const key = request.options.storage?.encryption?.kmsKey;
  if (key === undefined) return [];
  const [, partition = "", , region = ""] = key.split(":");
  return [
    {
      ...{ Effect: "Allow", Action: ["kms:GenerateDataKey", "kms:Decrypt"], Resource: [key] },
      // The key is in the bucket's Region.
      Condition: viaService("s3", partition, [region]),
    },
  ];
}

/** A role that accesses a repository directly, not through EC2. */
type RepositoryRole = "controller" | "agent" | "restoring-agent" | "verify" | "maintenance";

/** The objects that a role reads and writes, as key patterns; `*` matches any text. */
interface RepositoryRights {
  read: string[];
  /** Objects that the role creates but may not replace. */
  create: string[];
  /** Objects that the role may replace. */
  replace: string[];
  /** Objects that the role may also upload in parts. */
  upload: string[];
  remove: string[];
}

const LEASE = { create: ["locks/*.json"], replace: ["locks/*.beat"] };

const REPOSITORY_RIGHTS: Record<RepositoryRole, RepositoryRights> = {
  controller: {
    read: ["config.json", "keys/*", "jobs/*", "points/*"],
    create: ["jobs/*/job.json"],
    replace: ["jobs/*/journal*.json", "jobs/*/cancel"],
    upload: [],
    remove: [],
  },
  /** The agent only adds to the repository. It cannot read journals, because they contain external ids. */
  agent: {
    read: [
      ...["config.json", "keys/*", "packs/*", "index/*", "points/*", "locks/*", "prune/*"],
      ...["jobs/*/job.json", "jobs/*/cancel", "jobs/*/status.json", "jobs/*/result.json"],
    ],
    create: ["packs/*", "index/*", "points/*", "jobs/*/result.json", ...LEASE.create],
    replace: ["jobs/*/status.json", "jobs/*/figures.json", "tmp/*", ...LEASE.replace],
    upload: ["packs/*"],
    remove: ["locks/*", "tmp/*"],
  },
  /** A restoring agent writes only a lease, its heartbeat and its result. */
  "restoring-agent": {
    read: [
      ...["config.json", "keys/*", "packs/*", "index/*", "points/*", "locks/*", "prune/*"],
      ...["jobs/*/job.json", "jobs/*/cancel", "jobs/*/status.json", "jobs/*/result.json"],
    ],
    create: ["jobs/*/result.json", ...LEASE.create],
    replace: ["jobs/*/status.json", ...LEASE.replace],
    upload: [],
    remove: ["locks/*"],
  },
  /** `verify` reads every object. It keeps its progress on its own machine. */
  verify: {
    read: ["*"],
    create: LEASE.create,
    replace: LEASE.replace,
    upload: [],
    remove: ["locks/*"],
  },
  /**
   * `forget`, `prune`, `repair` and `copy`. Only this role may remove recovery points and the objects they
   * need.
   */
  maintenance: {
    read: ["*"],
    create: ["packs/*", "index/*", "points/*", ...LEASE.create],
    replace: ["prune/*", "forgotten/*", "tmp/*", ...LEASE.replace],
    upload: ["packs/*"],
    remove: ["packs/*", "index/*", "points/*", "locks/*", "prune/*", "tmp/*"],
  },
};
