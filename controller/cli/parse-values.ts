import { checkWholeNumber, usage } from "../../command-line/options.js";
import { type StorageArguments, storageChoices } from "../../command-line/storage-options.js";
import type { StorageChoices } from "../../repository/storage/storage-choices.js";
import type { JobRequest } from "../request.js";

export function parseKey(name: string, key: string | undefined): string | null {
  if (key === undefined) return null;
  if (/^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:(key|alias)\/.+$/.test(key)) return key;
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

/** What the agent is told of how to write the repository; its own command line knows nothing of this backup's. */
export function agentStorage(args: StorageArguments): { storage?: StorageChoices } {
  const storage = storageChoices(args);
  const kmsKey = storage.encryption?.kmsKey;
  // KMS looks an alias up in the account of whoever names it, and controller and agent may have two.
  if (kmsKey !== undefined && !/^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key\/.+$/.test(kmsKey)) {
    throw usage(
      `--sse-kms-key ${kmsKey} is no ARN of a KMS key itself.`,
      "Write, say, arn:aws:kms:eu-central-1:111111111111:key/..., which means the same key for controller and agent.",
    );
  }
  return Object.keys(storage).length === 0 ? {} : { storage };
}

/** A launched worker finds the repository with this, and credentials with its role. */
export function parseRepository(args: StorageArguments): JobRequest["repository"] {
  return {
    repo: args.repo,
    ...(args.region === undefined ? {} : { region: args.region }),
    ...(args.endpointUrl === undefined ? {} : { endpointUrl: args.endpointUrl }),
    ...(args.forcePathStyle === true ? { forcePathStyle: true as const } : {}),
  };
}
