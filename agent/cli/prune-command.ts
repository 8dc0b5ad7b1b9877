import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/repository.js";

interface PruneArguments extends StorageArguments {
  json: boolean;
}

export const pruneCommand: Command<PruneArguments> = {
  command: "prune",
  describe: "Remove what interrupted runs left unfinished: multipart uploads and temporary files",
  builder: (parser: Argv) =>
    parser
      .options({ ...storageOptions })
      .example(
        "$0 prune --repo s3://my-backups/fleet-a",
        "safe while backups run: theirs are left alone",
      ) as unknown as Argv<PruneArguments>,
  handler: async ({ json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    const session = await storage.beginUploads();
    await session.end();
    const { removed } = session;
    printResult(json, { removed }, `${removed} unfinished objects removed from ${storage.name}.`);
  },
};
