import { text, usage } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { Access } from "../aws/clients.js";
import { type JobRequest, ROLE_ARN } from "../plan/request.js";
import type { Signing } from "../plan/signing.js";
import { type JournalRecord, readClaimedJournal, readJournal } from "../run/read-journals.js";

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

/**
 * Options for the access to both accounts.
 * Without them the credentials of the environment serve both.
 */
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

/**
 * Returns the access to the source's account.
 * @throws Usage
 */
export function sourceAccess(args: AccessArguments): Access {
  return access("source", args.sourceProfile, args.sourceRole, args.sourceExternalId, args.sourceRegion);
}

/**
 * Returns the access to the worker's account.
 * @throws Usage
 */
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
  if (roleArn !== undefined && !ROLE_ARN.test(roleArn)) {
    throw usage(
      `--${party}-role ${roleArn} is not the ARN of a role.`,
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

/**
 * Returns a journal's request with the accounts of this command line.
 * Roles, profiles and external ids in a journal are claims of its writer.
 */
export function withAccess(request: JobRequest, args: AccessArguments): JobRequest {
  return { ...request, source: sourceAccess(args), worker: workerAccess(args) };
}

/**
 * Reads and verifies the journal of a job.
 * @throws JobNotFound; the errors of `readTerm`
 */
export async function findJournal(storage: Storage, job: string, signing: Signing): Promise<JournalRecord> {
  return found(await readJournal(storage, job, signing), storage, job);
}

/**
 * Reads the journal of a job without verifying it.
 * @throws JobNotFound; ObjectCorrupt, RepositoryUnsupported
 */
export async function findClaimedJournal(storage: Storage, job: string): Promise<JournalRecord> {
  return found(await readClaimedJournal(storage, job), storage, job);
}

function found(record: JournalRecord | undefined, storage: Storage, job: string): JournalRecord {
  if (record !== undefined) return record;
  throw new BlockferryError({
    code: "JobNotFound",
    message: `There is no job ${job} in ${storage.name}.`,
    remedy: `List the jobs: blockferry status --repo ${shellWord(storage.name)}`,
    object: job,
  });
}
