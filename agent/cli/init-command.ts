import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { once, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { initRepository } from "../../repository/repository.js";
import { PROTECTION_HELP, parseProtection } from "./key-protection.js";

interface InitArguments extends StorageArguments {
  encrypt: string | undefined;
  json: boolean;
}

export const initCommand: Command<InitArguments> = {
  command: "init",
  describe: "Make a new, empty repository",
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
      .example("$0 init --repo /mnt/backup/repo", "in a folder, which is made if need be")
      .example(
        "$0 init --repo s3://backups/fleet --encrypt kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "encrypted; whoever may use that key can read it",
      ) as unknown as Argv<InitArguments>,
  handler: async ({ json, ...args }) => {
    const { encrypt, passphraseFile: file } = args;
    if (encrypt === undefined && file !== undefined) {
      throw usage("--passphrase-file needs --encrypt passphrase.", "Give both, or neither.");
    }
    const fromWhere = { option: "passphrase-file", file, variable: "BLOCKFERRY_PASSPHRASE" };
    const protection = encrypt === undefined ? undefined : parseProtection(encrypt, fromWhere);
    const { config, storage } = await initRepository(storageLocation(args), protection);
    const kind = protection === undefined ? "repository" : "encrypted repository";
    printResult(
      json,
      { repository: config.id, location: storage.name, encryption: config.encryption.mode },
      `Made ${kind} ${config.id} in ${storage.name}`,
    );
  },
};
