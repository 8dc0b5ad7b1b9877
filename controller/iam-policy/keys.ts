import { BlockferryError, type ErrorCode, NOT_CONNECTED } from "../../foundation/errors.js";
import type { RepositoryKey } from "../../repository/encryption/aes-gcm.js";
import { type KeyRecord, keyRecordKey, unwrapKey } from "../../repository/encryption/key-record.js";
import { inspectRepository, openRepository, profileOf } from "../../repository/open/repository.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { ResourceScope } from "../aws/action-use.js";
import type { JobPlan, RestorePlan } from "../plan/plan.js";
import { isBridged, ROUTE_TABLE } from "../plan/route.js";

const KEY_RESOURCES = ["source-keys", "shared-keys", "copy-key", "volume-key"] as const;

type KeyResource = (typeof KEY_RESOURCES)[number];

export function isKeyResource(kind: ResourceScope): kind is KeyResource {
  return (KEY_RESOURCES as readonly string[]).includes(kind);
}

/** Returns the ARNs of the keys in a role of the plan. */
export function keysOf(kind: KeyResource, plan: JobPlan): string[] {
  if (plan.kind === "restore") return restoreKeysOf(kind, plan);
  const { volumes, route, copyKey, volumeKey } = plan;
  const sourceKeys = volumes.flatMap(({ origin }) => origin.kmsKeyId ?? []);
  const sharedKeys = volumes.flatMap(({ origin, key }) => {
    if (isBridged(route, key)) return copyKey ?? [];
    return origin.kmsKeyId ?? [];
  });
  const { workerCopies } = ROUTE_TABLE[route];
  switch (kind) {
    case "source-keys":
      return [...new Set(sourceKeys)];
    case "shared-keys":
      return [...new Set(workerCopies && copyKey !== null ? [...sharedKeys, copyKey] : sharedKeys)];
    case "copy-key":
      return copyKey === null ? [] : [copyKey];
    case "volume-key":
      return [volumeKey];
  }
}

function restoreKeysOf(kind: KeyResource, { route, volumeKey, targetKey }: RestorePlan): string[] {
  switch (kind) {
    case "source-keys":
      return [];
    case "shared-keys":
      return route === "cross-account" ? [volumeKey] : [];
    case "copy-key":
      return targetKey === null ? [] : [targetKey];
    case "volume-key":
      return [volumeKey];
  }
}

/**
 * Returns the keys of an account whose key policies decide whether EBS may use them.
 * Keys that AWS manages are left out: the whole account may use them.
 */
export function keysOwnedBy(accountId: string, plan: JobPlan): string[] {
  const keys = new Set(KEY_RESOURCES.flatMap((kind) => keysOf(kind, plan)));
  return [...keys].filter((key) => key.split(":")[4] === accountId && !plan.awsManagedKeys.includes(key));
}

/** The KMS keys that policies may name, and notes about the other keys. */
interface RepositoryKeys {
  /** Unique ARNs. */
  arns: string[];
  /** One line for each key record that is left out, with the reason. */
  notes: string[];
}

/**
 * Returns the KMS keys that are proven to open a repository.
 * Key records are not authenticated: anyone who can write to `keys/` chooses the ARN. A key counts when the
 * operator names it, or when KMS unwraps with it the same data key that opened the repository in this run.
 * @param named ARNs from the command line; when given, only they count and the repository is not opened
 * @throws Usage when keys are named but the repository is not encrypted; the errors of `openRepository`,
 * except those about keys that this user may not use
 */
export async function repositoryKeysOf(location: StorageLocation, named: string[]): Promise<RepositoryKeys> {
  const { config, keys, damaged } = await inspectRepository(location);
  const records = keys.filter(({ from }) => from.kind === "kms");
  if (named.length > 0) {
    if (config.encryption.mode === "none") throw notEncrypted(location);
    return { arns: [...new Set(named)], notes: notNamed(records, named) };
  }
  const unread = damaged.map(({ object, message }) => `${object ?? "a key"} is left out: ${message}`);
  if (records.length === 0) return { arns: [], notes: unread };
  const opened = await openIfPossible(location);
  const found: RepositoryKeys = { arns: [], notes: unread };
  for (const [index, record] of records.entries()) {
    const doubt = index < MAX_TRIED ? await doubtOf(record, opened, profileOf(location)) : TOO_MANY;
    if (doubt !== undefined) found.notes.push(leftOut(record, doubt));
    else found.arns.push(...arnOf(record).filter((arn) => !found.arns.includes(arn)));
  }
  return found;
}

/** Maximum number of KMS requests; a repository normally has a few keys. */
const MAX_TRIED = 32;
const TOO_MANY = `only the ${MAX_TRIED} oldest keys of KMS are tried.`;

/** Errors about the user's keys, not about the repository. */
const CLOSED: ReadonlySet<ErrorCode> = new Set([
  "AwsUnavailable",
  "CredentialsInvalid",
  "KeyNotUsable",
  "PassphraseUnavailable",
  "PassphraseWrong",
  "RepositoryLocked",
  ...NOT_CONNECTED,
]);

async function openIfPossible(location: StorageLocation): Promise<RepositoryKey | BlockferryError> {
  try {
    const { location: opened } = await openRepository(location);
    if (opened.key === undefined) throw new Error("a repository with keys was opened without one");
    return opened.key;
  } catch (error) {
    if (error instanceof BlockferryError && CLOSED.has(error.code)) return error;
    throw error;
  }
}

/** Returns why a key record is not proven; undefined when it is proven. */
async function doubtOf(
  record: KeyRecord,
  opened: RepositoryKey | BlockferryError,
  profile: string | undefined,
): Promise<string | undefined> {
  if (opened instanceof BlockferryError) return `the repository was not opened: ${opened.message}`;
  if (record.id === opened.openedWith) return undefined;
  try {
    const key = await unwrapKey(record, async () => "", { profile });
    return key?.dataKey.equals(opened.dataKey) === true ? undefined : "it wraps another data key.";
  } catch (error) {
    if (error instanceof BlockferryError) return error.message;
    throw error;
  }
}

function notNamed(records: KeyRecord[], named: string[]): string[] {
  const others = records.filter((record) => !arnOf(record).some((arn) => named.includes(arn)));
  return others.map((record) => leftOut(record, "--repository-key does not name it."));
}

function leftOut(record: KeyRecord, why: string): string {
  const [arn] = arnOf(record);
  return `${arn} of ${keyRecordKey(record.id)} is not proven, and no policy names it: ${why} If the key is yours, give --repository-key ${arn}`;
}

function arnOf({ from }: KeyRecord): string[] {
  return from.kind === "kms" ? [from.keyArn] : [];
}

function notEncrypted(location: StorageLocation): BlockferryError {
  const name = location.kind === "s3" ? `s3://${location.bucket}/${location.prefix}` : location.path;
  return new BlockferryError({
    code: "Usage",
    message: `--repository-key names a key, but ${name} is not encrypted.`,
    remedy: "Leave it out; or, if the repository was encrypted, find out who replaced its config.json.",
  });
}
