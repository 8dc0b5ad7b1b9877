import type { Argv } from "yargs";
import { formatTable } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { once, passphraseFileOption, passphraseSource, usage } from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { RepositoryKey } from "../../repository/encryption/aes-gcm.js";
import type { KeyProtection, KeyRecord } from "../../repository/encryption/key-record.js";
import { KMS_ARN, type KmsCaller } from "../../repository/encryption/kms.js";
import { addKey, removeKey, rotateKey } from "../../repository/encryption/manage-keys.js";
import { pinOf } from "../../repository/open/expectation.js";
import { inspectRepository, openRepository, profileOf } from "../../repository/open/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { AgentOutput } from "./outputs.js";

const ACTIONS = ["list", "add", "remove", "rotate"] as const;
const NEW_PASSPHRASE = "BLOCKFERRY_NEW_PASSPHRASE";

interface KeyArguments extends StorageArguments {
  action: (typeof ACTIONS)[number];
  id: string | undefined;
  with: string | undefined;
  newPassphraseFile: string | undefined;
  json: boolean;
}

export const keyCommand: Command<KeyArguments> = {
  command: "key <action> [id]",
  describe: "List, add, remove or rotate the keys of an encrypted repository; no data are rewritten",
  builder: (parser: Argv) =>
    parser
      .positional("action", { choices: ACTIONS, describe: "Action" })
      .positional("id", { type: "string", describe: "Key to remove or to rotate: its id, or a prefix of it" })
      .options({
        ...storageOptions,
        with: {
          type: "string",
          requiresArg: true,
          coerce: once("with"),
          describe: `Protection of the new key: ${PROTECTION_HELP}`,
        },
        "new-passphrase-file": passphraseFileOption("new-passphrase-file", NEW_PASSPHRASE),
      })
      .example("$0 key list --repo repo", "ids, and what protects each key")
      .example(
        "$0 key add --with passphrase --repo s3://backups/fleet",
        "a second key, for the day on which KMS is out of reach",
      )
      .example(
        "$0 key rotate 8ea5d6a1c9e03e66 --with kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab --repo repo",
        "a new key in the place of one",
      ) as unknown as Argv<KeyArguments>,
  handler: async (args) => {
    refuseContradictions(args);
    if (args.action === "list") return list(args);
    const { storage, location } = await openRepository(storageLocation(args), interruptSignal());
    if (location.key === undefined) throw notEncrypted(storage);
    await change(args, storage, location.key, { profile: profileOf(location) });
  },
};

/** @throws Usage */
function refuseContradictions({ action, id, with: protection, newPassphraseFile }: KeyArguments): void {
  const needsId = action === "remove" || action === "rotate";
  const needsProtection = action === "add" || action === "rotate";
  if (needsId !== (id !== undefined)) {
    throw usage(
      needsId ? `key ${action} needs the id of a key.` : `key ${action} takes no id.`,
      "List the ids: blockferry-agent key list",
    );
  }
  if (needsProtection !== (protection !== undefined)) {
    throw usage(
      needsProtection ? `key ${action} needs --with.` : `key ${action} creates no key, but --with is given.`,
      "Write, say, key add --with passphrase",
    );
  }
  if (newPassphraseFile !== undefined && protection !== "passphrase") {
    throw usage("--new-passphrase-file needs --with passphrase.", "Give both, or neither.");
  }
}

/** Lists the keys without opening any: this also shows which key is missing. */
async function list(args: KeyArguments): Promise<void> {
  const { config, keys, damaged } = await inspectRepository(storageLocation(args));
  const rows = keys.map(({ id, from, createdAt }) => [
    id,
    from.kind === "kms" ? from.keyArn : "passphrase",
    createdAt,
  ]);
  const table = rows.length === 0 ? [] : formatTable([["KEY", "PROTECTED BY", "ADDED"], ...rows]);
  const lines = [...table, ...damaged.map(({ message }) => message)];
  if (damaged.length > 0) process.exitCode = EXIT.dataDamaged;
  const pin = pinOf(config);
  const result = { keys: keys.map(describe), damaged: damaged.map((error) => error.toRecord()), pin };
  printResult<AgentOutput<"key list">>(args.json, result, [
    ...(lines.length === 0 ? ["The repository is not encrypted and has no keys."] : lines),
    `Pin, according to config.json: --expect-repository ${pin}`,
  ]);
}

async function change(
  args: KeyArguments,
  storage: Storage,
  key: RepositoryKey,
  caller: KmsCaller,
): Promise<void> {
  const { action, id = "", json } = args;
  switch (action) {
    case "add": {
      const added = await addKey(storage, key, protectionOf(args), caller);
      return printResult<AgentOutput<"key add">>(json, { added: describe(added) }, [
        `Added key ${added.id}.`,
      ]);
    }
    case "rotate": {
      const { added, removed } = await rotateKey(storage, key, id, protectionOf(args), caller);
      const text = `Key ${added.id} replaces ${removed}.`;
      return printResult<AgentOutput<"key rotate">>(json, { added: describe(added), removed }, [text]);
    }
    case "remove": {
      const removed = await removeKey(storage, key, id);
      return printResult<AgentOutput<"key remove">>(json, { removed }, [`Removed key ${removed}.`]);
    }
  }
}

function protectionOf({ with: protection = "", newPassphraseFile }: KeyArguments): KeyProtection {
  return parseProtection(protection, {
    option: "new-passphrase-file",
    file: newPassphraseFile,
    variable: NEW_PASSPHRASE,
  });
}

function describe({ id, from, createdAt }: KeyRecord) {
  return { id, kind: from.kind, ...(from.kind === "kms" ? { keyArn: from.keyArn } : {}), createdAt };
}

function notEncrypted({ name }: Storage) {
  return usage(
    `${name} is not encrypted and has no keys.`,
    "Encryption is chosen when a repository is created: create another one with init --encrypt, and `copy` the points there.",
  );
}

/** Help text for the protection of a new key: `passphrase`, or `kms:` and the ARN of a key or an alias. */
export const PROTECTION_HELP = "`passphrase`, or kms:KEY-ARN for a key of AWS KMS";

/**
 * Parses the protection of a new key.
 * @param passphrase source of a new passphrase: an option, the file it names, and an environment variable
 * @throws Usage
 */
export function parseProtection(
  text: string,
  passphrase: { option: string; file: string | undefined; variable: string },
): KeyProtection {
  const arn = /^kms:(.*)$/.exec(text)?.[1];
  if (arn !== undefined && KMS_ARN.test(arn)) return { kind: "kms", arn };
  if (text !== "passphrase") {
    throw usage(
      `${text} is neither \`passphrase\` nor kms: and the ARN of a key.`,
      "Write, say, kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    );
  }
  const source = passphraseSource(passphrase.file, passphrase.variable);
  if (source !== undefined) return { kind: "passphrase", source };
  throw usage(
    "No new passphrase is given.",
    `Give --${passphrase.option} or ${passphrase.variable}, or run the command on a terminal, where it asks for the passphrase.`,
  );
}
