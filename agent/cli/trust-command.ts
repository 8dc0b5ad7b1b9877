import type { Argv } from "yargs";
import { formatTable } from "../../command-line/format.js";
import { usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { formatExpectation } from "../../repository/open/expectation.js";
import {
  canonicalLocation,
  KnownRepositories,
  stateFolder,
} from "../../repository/open/known-repositories.js";
import type { AgentOutput } from "./outputs.js";

const ACTIONS = ["list", "reset"] as const;

interface TrustArguments extends Omit<StorageArguments, "repo"> {
  action: (typeof ACTIONS)[number];
  repo: string | undefined;
  json: boolean;
}

export const trustCommand: Command<TrustArguments> = {
  command: "trust <action>",
  describe: "List the repositories that this machine knows, or forget the one at a location",
  builder: (parser: Argv) =>
    parser
      .positional("action", { choices: ACTIONS, describe: "Action" })
      .options({
        ...storageOptions,
        repo: { ...storageOptions.repo, demandOption: false, describe: "Location to forget, for `reset`" },
      })
      .example("$0 trust list", "locations, ids and encryption, as they were at the first use")
      .example(
        "$0 trust reset --repo s3://backups/fleet",
        "after you have replaced the repository there yourself",
      ) as unknown as Argv<TrustArguments>,
  handler: async ({ action, repo, json, ...args }) => {
    const known = new KnownRepositories(stateFolder());
    if (action === "list") return list(known, json);
    if (repo === undefined) {
      throw usage("trust reset needs --repo.", "List the locations: blockferry-agent trust list");
    }
    const location = await canonicalLocation(storageLocation({ ...args, repo }));
    const wasKnown = await known.forget(location);
    printResult<AgentOutput<"trust reset">>(json, { location, wasKnown }, [
      wasKnown
        ? `Forgot ${location}: the next repository that is opened there will be trusted.`
        : `This machine knew no repository at ${location}.`,
    ]);
  },
};

async function list(known: KnownRepositories, json: boolean): Promise<void> {
  const repositories = await known.list();
  const rows = repositories.map((one) => [one.location, formatExpectation(one), one.firstSeen]);
  const lines =
    rows.length === 0
      ? ["This machine knows no repository yet."]
      : formatTable([["LOCATION", "PIN", "FIRST SEEN"], ...rows]);
  printResult<AgentOutput<"trust list">>(json, { repositories }, lines);
}
