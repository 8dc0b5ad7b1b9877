import { parseS3Location } from "../../repository/storage/s3/s3-location.js";
import type { Plan } from "../plan.js";
import type { Statement } from "./policy-document.js";

/** What each reads and writes in the repository, as prefixes of keys. */
const OBJECTS: Record<"controller" | "agent", Record<string, string[]>> = {
  controller: { "s3:GetObject": ["config.json", "jobs/*", "points/*"], "s3:PutObject": ["jobs/*"] },
  agent: {
    "s3:GetObject": ["*"],
    "s3:PutObject": ["packs/*", "index/*", "points/*", "jobs/*", "locks/*", "tmp/*", "verify/*"],
    "s3:DeleteObject": ["locks/*", "tmp/*"],
    "s3:AbortMultipartUpload": ["packs/*"],
  },
};

const BUCKET_ACTIONS = {
  controller: ["s3:ListBucket"],
  agent: ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
} as const;

/** For a repository in S3; a local directory needs no policy. */
export function repositoryStatements(plan: Plan, who: "controller" | "agent"): Statement[] {
  const { repo } = plan.request.repository;
  if (!repo.startsWith("s3://")) return [];
  const { bucket, prefix } = parseS3Location(repo, {});
  const partition = plan[who === "agent" ? "worker" : "source"].partition;
  const bucketArn = `arn:${partition}:s3:::${bucket}`;
  const byObject = Object.entries(OBJECTS[who]).map(([action, keys]) => ({
    Effect: "Allow" as const,
    Action: [action],
    Resource: keys.map((key) => `${bucketArn}/${prefix}${key}`),
  }));
  return [{ Effect: "Allow", Action: [...BUCKET_ACTIONS[who]], Resource: [bucketArn] }, ...byObject];
}
