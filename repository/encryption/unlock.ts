import { BlockferryError, type ErrorCode, NOT_CONNECTED } from "../../foundation/errors.js";
import { CONFIG_KEY, type RepositoryConfig } from "../format/config.js";
import type { Storage } from "../storage/storage.js";
import { keyCheck, type RepositoryKey } from "./aes-gcm.js";
import { type KeyRecord, keyRecordKey, listKeys, unwrapKey } from "./key-record.js";
import type { KmsCaller } from "./kms.js";
import { type PassphraseSource, readPassphrase } from "./passphrase.js";

interface UnlockOptions extends KmsCaller {
  passphrase: PassphraseSource | undefined;
}

/**
 * Finds a key that opens the repository. If a passphrase was given, KMS keys are not tried: anyone who can
 * write below `keys/` can add a KMS key of their own. Otherwise KMS keys are tried first, and the passphrase
 * prompt last.
 * @throws the error of the key, if only one could be tried; otherwise RepositoryLocked, or the code of a
 * failure that may pass, with each key and its failure in the message; ObjectCorrupt at once for a key that
 * opens and does not fit the config; Interrupted
 */
export async function unlock(
  storage: Storage,
  config: RepositoryConfig,
  options: UnlockOptions,
): Promise<RepositoryKey> {
  const { keys, damaged } = await listKeys(storage, config.id);
  const failures: BlockferryError[] = [...damaged];
  const passphrase = passphraseReader(storage, options);
  const { tried, untried } = inOrder(keys, options);
  for (const record of tried) {
    const key = await opened(record, passphrase, options);
    if (!(key instanceof BlockferryError)) return { ...proven(key, config, record), openedWith: record.id };
    failures.push(key);
  }
  throw locked(storage, untried, failures);
}

/** Opens a record. @returns the error when it does not open @throws Interrupted */
async function opened(
  record: KeyRecord,
  passphrase: () => Promise<string>,
  caller: KmsCaller,
): Promise<RepositoryKey | BlockferryError> {
  try {
    return (await unwrapKey(record, passphrase, caller)) ?? wrongPassphrase(record);
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code === "Interrupted") throw error;
    return error;
  }
}

/** Returns a reader of the passphrase that asks at most once. */
function passphraseReader(storage: Storage, { passphrase: source }: UnlockOptions): () => Promise<string> {
  let passphrase: Promise<string> | undefined;
  return () => {
    passphrase ??=
      source === undefined ? Promise.resolve("") : readPassphrase(source, `Passphrase of ${storage.name}`);
    return passphrase;
  };
}

function inOrder(
  keys: KeyRecord[],
  { passphrase }: UnlockOptions,
): { tried: KeyRecord[]; untried: KeyRecord[] } {
  const ofKms = keys.filter(({ from }) => from.kind === "kms");
  const ofPassphrases = keys.filter(({ from }) => from.kind === "passphrase");
  if (passphrase === undefined) return { tried: ofKms, untried: ofPassphrases };
  if (passphrase.kind === "prompt") return { tried: [...ofKms, ...ofPassphrases], untried: [] };
  return { tried: ofPassphrases, untried: ofKms };
}

/**
 * Returns the key if it fits the config. Otherwise ends the command, even if other keys remain: none of them
 * makes the config right.
 * @throws ObjectCorrupt: the tag proves the key, so the config is wrong, or the key belongs to another
 * repository
 */
function proven(key: RepositoryKey, { encryption }: RepositoryConfig, { id }: KeyRecord): RepositoryKey {
  if (encryption.mode !== "none" && encryption.keyCheck === keyCheck(key)) return key;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${CONFIG_KEY} and ${keyRecordKey(id)} do not match: the key opens, but the keyCheck belongs to another data key. One of them was changed, or comes from another repository.`,
    remedy:
      "Restore both from a replica or an earlier version in the bucket, and find out who replaced them. Nothing was stored.",
    object: CONFIG_KEY,
    offset: 0,
  });
}

function wrongPassphrase({ id, from }: KeyRecord): BlockferryError {
  if (from.kind === "kms") {
    return new BlockferryError({
      code: "ObjectCorrupt",
      message: `${keyRecordKey(id)} does not open with its KMS key ${from.keyArn}: it was changed.`,
      remedy: "Restore it from a replica, or use another key.",
      object: keyRecordKey(id),
      offset: 0,
    });
  }
  return new BlockferryError({
    code: "PassphraseWrong",
    message: `The passphrase does not open ${keyRecordKey(id)}.`,
    remedy: "Check the passphrase: its file, the environment variable, the keyboard layout.",
    object: keyRecordKey(id),
  });
}

const NO_KEY = {
  message: "keys/ holds no key for it.",
  remedy: "Restore the objects below keys/ from a replica or an earlier version in the bucket.",
};

const GIVE_PASSPHRASE =
  "Give the passphrase with --passphrase-file or BLOCKFERRY_PASSPHRASE, or run the command on a terminal, where it asks for the passphrase.";

const GIVE_NO_PASSPHRASE =
  "To open it with KMS, leave --passphrase-file out and unset BLOCKFERRY_PASSPHRASE. If it had a passphrase before, find out who removed that key.";

/** Failures that may pass: an outage, or rights that a new role gets only after some time. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set([
  "AwsUnavailable",
  "CredentialsInvalid",
  "KeyNotUsable",
  ...NOT_CONNECTED,
]);

/**
 * Returns the error of a repository that no key opens.
 * @param untried keys that need a passphrase when none was given; KMS keys when one was given
 */
function locked(storage: Storage, untried: KeyRecord[], failures: BlockferryError[]): BlockferryError {
  const reasons: { message: string; remedy: string }[] = [...failures];
  if (untried.length > 0) reasons.push(notTried(untried));
  if (reasons.length === 0) reasons.push(NO_KEY);
  const [only, ...others] = failures;
  const isOnly = only !== undefined && others.length === 0;
  // The code shows a caller that retries whether the failure may pass.
  const passing = failures.find(({ code }) => MAY_PASS.has(code));
  const remedies = new Set(reasons.map(({ remedy }) => remedy));
  return new BlockferryError(
    {
      code: isOnly ? only.code : (passing?.code ?? "RepositoryLocked"),
      message: `${storage.name} is encrypted, and no key opened it. ${reasons.map(({ message }) => message).join(" ")}`,
      remedy: [...remedies].join(" "),
      object: isOnly && only.object !== undefined ? only.object : "keys/",
    },
    only,
  );
}

function notTried(keys: KeyRecord[]): { message: string; remedy: string } {
  const objects = keys.map(({ id }) => keyRecordKey(id)).join(", ");
  return keys.some(({ from }) => from.kind === "kms")
    ? {
        message: `A passphrase was given, so no key in KMS is used: ${objects}.`,
        remedy: GIVE_NO_PASSPHRASE,
      }
    : { message: `No passphrase was given for ${objects}.`, remedy: GIVE_PASSPHRASE };
}
