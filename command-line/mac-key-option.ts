import { KMS_KEY_ARN } from "../repository/encryption/kms.js";
import { profileOf, type Repository } from "../repository/open/repository.js";
import type { TombstoneKey } from "../repository/points/tombstone.js";
import { once, usage } from "./options.js";

/** Environment variables that replace the options, for example on a worker or in a timer. */
const VARIABLES = {
  "job-key": "BLOCKFERRY_JOB_KEY",
  "reply-key": "BLOCKFERRY_REPLY_KEY",
  "tombstone-key": "BLOCKFERRY_TOMBSTONE_KEY",
} as const;

/** Declares an option for an HMAC_256 KMS key. Controller and agent use the same option names. */
export function macKeyOption<Name extends keyof typeof VARIABLES>(name: Name, describe: string) {
  return {
    ...({ type: "string", requiresArg: true, coerce: once(name) } as const),
    default: process.env[VARIABLES[name]],
    describe: `${describe}  [default: ${VARIABLES[name]}]`,
  };
}

/** Returns the ARN of a MAC key after checking its form. @throws Usage */
export function parseMacKey(name: keyof typeof VARIABLES, arn: string | undefined): string | undefined {
  if (arn === undefined || KMS_KEY_ARN.test(arn)) return arn;
  throw usage(
    `--${name} ${arn} is not the ARN of a KMS key itself.`,
    "Write, say, arn:aws:kms:eu-central-1:111111111111:key/...; an alias could point to another key later.",
  );
}

/**
 * Returns the ARN of the tombstone key after checking its form.
 * @throws Usage, also for a repository of an earlier version, which has no tombstones
 */
export function parseTombstoneKey(
  given: string | undefined,
  { config, location }: Pick<Repository, "config" | "location">,
  signal?: AbortSignal,
): TombstoneKey | undefined {
  const arn = parseMacKey("tombstone-key", given);
  if (arn === undefined) return undefined;
  if (config.version === 3)
    return { repository: config.id, key: { arn, profile: profileOf(location), signal } };
  throw usage(
    `--tombstone-key signs the tombstones of forgotten points, but a repository of version ${config.version} has no tombstones.`,
    "Leave out the option and BLOCKFERRY_TOMBSTONE_KEY, or `copy` the points into a new repository, which has version 3.",
  );
}
