import type { Statement } from "./policy-document.js";
import { bucketOf, type RepositoryBucket } from "./repository-statements.js";
import type { PolicyPlan } from "./resources.js";

/**
 * Returns a sample policy for the bucket.
 * It only denies. The denials apply to every principal, whatever its own policies allow.
 * @returns no statements for a local directory
 */
export function bucketStatements(plan: PolicyPlan): Statement[] {
  const bucket = bucketOf(plan);
  if (bucket === undefined) return [];
  const everything = [bucket.arn, `${bucket.arn}/*`];
  const deny = (Sid: string, rest: Pick<Statement, "Action" | "Resource" | "Condition">): Statement => ({
    ...{ Sid, Effect: "Deny", Principal: "*", ...rest },
  });
  return [
    deny("BlockferryTlsOnly", {
      ...{ Action: ["s3:*"], Resource: everything, Condition: { Bool: { "aws:SecureTransport": "false" } } },
    }),
    deny("BlockferryTls12", {
      ...{
        Action: ["s3:*"],
        Resource: everything,
        Condition: { NumericLessThan: { "s3:TlsVersion": "1.2" } },
      },
    }),
    // AWS: "Enforce conditional writes on Amazon S3 buckets"; the parts of an upload carry no condition.
    deny("BlockferryWritesOnce", {
      Action: ["s3:PutObject"],
      Resource: bucket.below(WRITTEN_ONCE),
      Condition: { Null: { "s3:if-none-match": "true" }, Bool: { "s3:ObjectCreationOperation": "true" } },
    }),
    ...strangers(plan, bucket).map((Condition) =>
      deny("BlockferryOwnAccountsOnly", { Action: ["s3:*"], Resource: everything, Condition }),
    ),
  ];
}

/** Objects that are never overwritten. */
const WRITTEN_ONCE = [
  ...["config.json", "keys/*", "packs/*", "index/*", "points/*", "locks/*.json"],
  ...["jobs/*/job.json", "jobs/*/result.json"],
];

/**
 * Returns the condition for accounts other than the bucket's, the controller's and the worker's.
 * When one of these is unknown, no account is denied.
 */
function strangers({ worker, bucketUser }: PolicyPlan, { owner }: RepositoryBucket) {
  if (owner === undefined || bucketUser === undefined) return [];
  const accounts = [...new Set([owner, bucketUser, worker.accountId])];
  return [
    {
      StringNotEquals: { "aws:PrincipalAccount": accounts },
      Bool: { "aws:PrincipalIsAWSService": "false" },
    },
  ];
}

/**
 * Returns the settings that a policy cannot contain.
 * Each is a command for the owner of the bucket.
 */
export function bucketNotes(plan: PolicyPlan): string[] {
  const bucket = bucketOf(plan);
  if (bucket === undefined) return [];
  const s3api = (command: string) => `aws s3api ${command} --bucket ${bucket.bucket}`;
  return [
    `${s3api("put-bucket-policy")} --policy file://policy.json   # the policy that is printed here; merge it with an existing one`,
    `${s3api("put-public-access-block")} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`,
    `${s3api("put-bucket-ownership-controls")} --ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerEnforced}]'`,
    `${s3api("put-bucket-versioning")} --versioning-configuration Status=Enabled`,
    `${s3api("put-object-lock-configuration")} --object-lock-configuration ObjectLockEnabled=Enabled   # for --lock-days; cannot be undone`,
    ...(bucket.owner === undefined ? ["Give --bucket-owner ACCOUNT to also shut out other accounts."] : []),
  ];
}
