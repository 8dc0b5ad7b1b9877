import { checkWholeNumber, usage } from "../../command-line/options.js";
import {
  allowsInsecureHttp,
  type StorageArguments,
  storageChoices,
} from "../../command-line/storage-options.js";
import { KMS_ARN, KMS_KEY_ARN } from "../../repository/encryption/ask-kms.js";
import type { StorageChoices } from "../../repository/storage/storage-choices.js";
import type { JobRequest } from "../request.js";

export function parseKey(name: string, key: string | undefined): string | null {
  if (key === undefined) return null;
  if (KMS_ARN.test(key)) return key;
  throw usage(
    `--${name} ${key} is no ARN of a KMS key.`,
    "Write, say, arn:aws:kms:eu-central-1:111111111111:key/...",
  );
}

export function wholeNumber(
  name: string,
  value: number | undefined,
  min: number,
  max: number,
): number | null {
  return value === undefined ? null : checkWholeNumber(name, value, min, max);
}

/**
 * Returns the storage options for the agent.
 * They travel with the job, because the command line of the agent does not set them for this backup.
 */
export function agentStorage(args: StorageArguments): { storage?: StorageChoices } {
  const storage = storageChoices(args);
  const kmsKey = storage.encryption?.kmsKey;
  // KMS resolves an alias in the account of the caller, and controller and agent may be in two accounts.
  if (kmsKey !== undefined && !KMS_KEY_ARN.test(kmsKey)) {
    throw usage(
      `--sse-kms-key ${kmsKey} is no ARN of a KMS key itself.`,
      "Write, say, arn:aws:kms:eu-central-1:111111111111:key/..., which means the same key for controller and agent.",
    );
  }
  return Object.keys(storage).length === 0 ? {} : { storage };
}

/** Returns the repository's location for a launched worker, which gets credentials from its role. */
export function parseRepository(args: StorageArguments): JobRequest["repository"] {
  return {
    repo: args.repo,
    ...(args.region === undefined ? {} : { region: args.region }),
    ...(args.endpointUrl === undefined ? {} : { endpointUrl: args.endpointUrl }),
    ...(args.forcePathStyle === true ? { forcePathStyle: true as const } : {}),
    ...(args.bucketOwner === undefined ? {} : { bucketOwner: args.bucketOwner }),
    ...(allowsInsecureHttp(args) ? { allowInsecureHttp: true as const } : {}),
  };
}
