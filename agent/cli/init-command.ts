import type { Argv } from "yargs";
import { initRepository } from "../../repository/repository.js";
import type { Command } from "./command.js";
import { repoOption } from "./options.js";
import { printResult } from "./output.js";

interface InitArguments {
  repo: string;
  json: boolean;
}

export const initCommand: Command<InitArguments> = {
  command: "init",
  describe: "Make a new, empty repository",
  builder: (parser: Argv) =>
    parser
      .options({ repo: repoOption })
      .example(
        "$0 init --repo /mnt/backup/repo",
        "in a folder, which is made if need be",
      ) as Argv<InitArguments>,
  handler: async ({ repo, json }) => {
    const { config, storage } = await initRepository(repo);
    printResult(
      json,
      { repository: config.id, location: storage.name },
      `Made repository ${config.id} in ${storage.name}`,
    );
  },
};
