import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { initRepository } from "../../repository/repository.js";

interface InitArguments extends StorageArguments {
  json: boolean;
}

export const initCommand: Command<InitArguments> = {
  command: "init",
  describe: "Make a new, empty repository",
  builder: (parser: Argv) =>
    parser
      .options({ ...storageOptions })
      .example(
        "$0 init --repo /mnt/backup/repo",
        "in a folder, which is made if need be",
      ) as unknown as Argv<InitArguments>,
  handler: async ({ json, ...args }) => {
    const { config, storage } = await initRepository(storageLocation(args));
    printResult(
      json,
      { repository: config.id, location: storage.name },
      `Made repository ${config.id} in ${storage.name}`,
    );
  },
};
