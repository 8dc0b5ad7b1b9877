import type { Argv } from "yargs";
import { once, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { pinOf } from "../../repository/open/expectation.js";
import { initRepository } from "../../repository/open/repository.js";
import { PROTECTION_HELP, parseProtection } from "./key-command.js";
import type { AgentOutput } from "./outputs.js";

const PASSPHRASE_VARIABLE = "BLOCKFERRY_PASSPHRASE";

interface InitArguments extends StorageArguments {
  encrypt: string | undefined;
  json: boolean;
}

export const initCommand: Command<InitArguments> = {
  command: "init",
  describe: "Create a new, empty repository",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        encrypt: {
          type: "string",
          requiresArg: true,
          coerce: once("encrypt"),
          describe: `Encrypt everything, with a key protected by ${PROTECTION_HELP}`,
        },
      })
      .example("$0 init --repo /mnt/backup/repo", "in a folder, which is created if it does not exist")
      .example(
        "$0 init --repo s3://backups/fleet --encrypt kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "encrypted; whoever may use that key can read it",
      ) as unknown as Argv<InitArguments>,
  handler: async ({ json, ...args }) => {
    const { encrypt, passphraseFile: file } = args;
    refuseUnusedPassphrase(encrypt, file);
    if (args.expectRepository !== undefined) {
      throw usage(
        "A new repository gets a new UUID, but --expect-repository (or BLOCKFERRY_EXPECT_REPOSITORY) names an existing one.",
        "Leave the option out, or unset the variable; `init` prints the pin of the new repository.",
      );
    }
    const fromWhere = { option: "passphrase-file", file, variable: PASSPHRASE_VARIABLE };
    const protection = encrypt === undefined ? undefined : parseProtection(encrypt, fromWhere);
    const { config, storage, notes } = await initRepository(storageLocation(args), protection);
    const kind = protection === undefined ? "repository" : "encrypted repository";
    const pin = pinOf(config);
    const made = {
      repository: config.id,
      location: storage.name,
      encryption: config.encryption.mode,
      pin,
      notes,
    };
    printResult<AgentOutput<"init">>(json, made, [
      `Created ${kind} ${config.id} in ${storage.name}`,
      ...notes.map((note) => `Note: ${note}`),
      `To pin it elsewhere: --expect-repository ${pin}`,
    ]);
  },
};

/**
 * Refuses a passphrase the repository would not use: later commands could not open it with that.
 * @throws Usage
 */
function refuseUnusedPassphrase(encrypt: string | undefined, file: string | undefined): void {
  const isUnused = encrypt === undefined || encrypt.startsWith("kms:");
  if (!isUnused) return;
  if (file !== undefined) {
    throw usage("--passphrase-file needs --encrypt passphrase.", "Give both, or neither.");
  }
  if (!process.env[PASSPHRASE_VARIABLE]) return;
  throw usage(
    `${PASSPHRASE_VARIABLE} is set, but the new repository would not be encrypted with it.`,
    `Give --encrypt passphrase, or unset ${PASSPHRASE_VARIABLE}.`,
  );
}
