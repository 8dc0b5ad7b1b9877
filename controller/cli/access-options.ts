import { usage } from "../../command-line/options.js";
import { text } from "../../command-line/text-option.js";
import type { Access, JobRequest } from "../request.js";

export interface AccessArguments {
  sourceProfile: string | undefined;
  sourceRole: string | undefined;
  sourceExternalId: string | undefined;
  sourceRegion: string | undefined;
  workerAwsProfile: string | undefined;
  workerRole: string | undefined;
  workerExternalId: string | undefined;
  workerRegion: string | undefined;
}

const GROUP = "Accounts:";

/** How both accounts are reached; without any of these the credentials of the environment serve for both. */
export const accessOptions = {
  "source-profile": text(GROUP, "source-profile", "AWS profile for the instance's account"),
  "source-role": text(GROUP, "source-role", "ARN of a role to assume in the instance's account"),
  "source-external-id": text(GROUP, "source-external-id", "External id that --source-role asks for"),
  "source-region": text(
    GROUP,
    "source-region",
    "Region of the instance  [default: of the profile or AWS_REGION]",
  ),
  "worker-aws-profile": text(GROUP, "worker-aws-profile", "AWS profile for the worker's account"),
  "worker-role": text(GROUP, "worker-role", "ARN of a role to assume in the worker's account"),
  "worker-external-id": text(GROUP, "worker-external-id", "External id that --worker-role asks for"),
  "worker-region": text(GROUP, "worker-region", "Region of the worker  [default: that of the instance]"),
} as const;

/** @throws Usage */
export function sourceAccess(args: AccessArguments): Access {
  return access("source", args.sourceProfile, args.sourceRole, args.sourceExternalId, args.sourceRegion);
}

/** @throws Usage */
export function workerAccess(args: AccessArguments): Access {
  return access("worker", args.workerAwsProfile, args.workerRole, args.workerExternalId, args.workerRegion);
}

function access(
  party: "source" | "worker",
  profile: string | undefined,
  roleArn: string | undefined,
  externalId: string | undefined,
  region: string | undefined,
): Access {
  if (externalId !== undefined && roleArn === undefined) {
    throw usage(`--${party}-external-id needs --${party}-role.`, "Give both, or neither.");
  }
  if (roleArn !== undefined && !/^arn:[a-z-]+:iam::\d{12}:role\/.+$/.test(roleArn)) {
    throw usage(
      `--${party}-role ${roleArn} is no ARN of a role.`,
      "Write, say, arn:aws:iam::111111111111:role/blockferry",
    );
  }
  return {
    profile: profile ?? null,
    roleArn: roleArn ?? null,
    externalId: externalId ?? null,
    region: region ?? null,
  };
}

/** A journal's request with what this command line says about the accounts: another machine may have other profiles. */
export function withAccess(request: JobRequest, args: AccessArguments): JobRequest {
  return {
    ...request,
    source: overridden(request.source, sourceAccess(args)),
    worker: overridden(request.worker, workerAccess(args)),
  };
}

function overridden(kept: Access, given: Access): Access {
  const isGiven = given.profile !== null || given.roleArn !== null;
  return isGiven ? { ...given, region: given.region ?? kept.region } : kept;
}
