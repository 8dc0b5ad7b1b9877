import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";
import { CONFIG_KEY, type RepositoryConfig } from "../config.js";
import type { Storage } from "../storage/storage.js";
import type { KmsCaller } from "./ask-kms.js";
import { type KeyRecord, keyRecordKey, listKeys } from "./key-record.js";
import { type PassphraseSource, readPassphrase } from "./passphrase.js";
import { keyCheck, type RepositoryKey } from "./repository-key.js";
import { unwrapKey } from "./wrap-key.js";

export interface UnlockOptions extends KmsCaller {
  passphrase: PassphraseSource | undefined;
}

/**
 * Finds a key that opens the repository: the passphrase that was given comes first, a prompt for one last.
 * @throws what is wrong with the key, where only one could be tried; else RepositoryLocked, or the code of a failure that may pass,
 * with each key and its failure in the message; Interrupted
 */
export async function unlock(
  storage: Storage,
  config: RepositoryConfig,
  options: UnlockOptions,
): Promise<RepositoryKey> {
  const { keys, damaged } = await listKeys(storage, config.id);
  const failures: BlockferryError[] = [...damaged];
  const passphrase = passphraseReader(storage, options);
  const isTried = ({ from }: KeyRecord) => from.kind === "kms" || options.passphrase !== undefined;
  for (const record of inOrder(keys.filter(isTried), options)) {
    try {
      const key = await unwrapKey(record, passphrase, options);
      if (key !== undefined) return { ...(await proven(key, config)), openedWith: record.id };
      failures.push(wrongPassphrase(record));
    } catch (error) {
      if (!(error instanceof BlockferryError) || error.code === "Interrupted") throw error;
      failures.push(error);
    }
  }
  throw locked(
    storage,
    keys.filter((record) => !isTried(record)),
    failures,
  );
}

/** Asks at most once. */
function passphraseReader(storage: Storage, { passphrase: source }: UnlockOptions): () => Promise<string> {
  let passphrase: Promise<string> | undefined;
  return () => {
    passphrase ??=
      source === undefined ? Promise.resolve("") : readPassphrase(source, `Passphrase of ${storage.name}`);
    return passphrase;
  };
}

function inOrder(keys: KeyRecord[], { passphrase }: UnlockOptions): KeyRecord[] {
  const isGiven = passphrase !== undefined && passphrase.kind !== "prompt";
  const first = isGiven ? "passphrase" : "kms";
  return [
    ...keys.filter(({ from }) => from.kind === first),
    ...keys.filter(({ from }) => from.kind !== first),
  ];
}

/** @throws ObjectCorrupt: the key is right by its own tag, so what it is compared with is not */
function proven(key: RepositoryKey, { encryption }: RepositoryConfig): RepositoryKey {
  if (encryption.mode !== "none" && encryption.keyCheck === keyCheck(key)) return key;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${CONFIG_KEY} does not fit the keys of the repository: its keyCheck was changed, or it comes from another repository.`,
    remedy: "Bring it back from a replica or an earlier version in the bucket.",
    object: CONFIG_KEY,
    offset: 0,
  });
}

function wrongPassphrase({ id, from }: KeyRecord): BlockferryError {
  if (from.kind === "kms") {
    return new BlockferryError({
      code: "ObjectCorrupt",
      message: `${keyRecordKey(id)} does not open with its KMS key ${from.keyArn}: it was changed.`,
      remedy: "Bring it back from a replica, or use another key.",
      object: keyRecordKey(id),
      offset: 0,
    });
  }
  return new BlockferryError({
    code: "PassphraseWrong",
    message: `The passphrase is not that of ${keyRecordKey(id)}.`,
    remedy: "Check the passphrase: its file, the environment variable, the keyboard layout.",
    object: keyRecordKey(id),
  });
}

const NO_KEY = {
  message: "keys/ holds no key of it.",
  remedy: "Bring the objects below keys/ back from a replica or an earlier version in the bucket.",
};

const GIVE_PASSPHRASE =
  "Give the passphrase with --passphrase-file or BLOCKFERRY_PASSPHRASE, or run it on a terminal to be asked.";

/** An outage, or rights that a new role gets only after a while. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set(["AwsUnavailable", "CredentialsInvalid", "KeyNotUsable"]);

/** @param untried keys that need a passphrase, where none was to be had */
function locked(storage: Storage, untried: KeyRecord[], failures: BlockferryError[]): BlockferryError {
  const reasons: { message: string; remedy: string }[] = [...failures];
  if (untried.length > 0) {
    const objects = untried.map(({ id }) => keyRecordKey(id)).join(", ");
    reasons.push({ message: `No passphrase was given for ${objects}.`, remedy: GIVE_PASSPHRASE });
  }
  if (reasons.length === 0) reasons.push(NO_KEY);
  const [only, ...others] = failures;
  const isOnly = only !== undefined && others.length === 0;
  // Whoever waits for it to pass must see that it may.
  const passing = failures.find(({ code }) => MAY_PASS.has(code));
  const remedies = new Set(reasons.map(({ remedy }) => remedy));
  return new BlockferryError(
    {
      code: isOnly ? only.code : (passing?.code ?? "RepositoryLocked"),
      message: `${storage.name} is encrypted, and stays closed. ${reasons.map(({ message }) => message).join(" ")}`,
      remedy: [...remedies].join(" "),
      object: isOnly && only.object !== undefined ? only.object : "keys/",
    },
    only,
  );
}
