import type { Argv } from "yargs";
import { once, parseDuration } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import { reopenParties } from "../plan/parties.js";
import { openSigning } from "../plan/signing.js";
import { type CleanupReport, cleanUp, unfinishedJobs } from "../run/cleanup.js";
import { type AccessArguments, accessOptions, withAccess } from "./access-options.js";
import { describeProblems, exitWithProblems } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import { stepDisplay } from "./step-display.js";
import { parseSigning, type SigningArguments, signingOptions } from "./worker-options.js";

interface CleanupArguments extends StorageArguments, AccessArguments, SigningArguments {
  olderThan: string;
  dryRun: boolean;
  json: boolean;
}

export const cleanupCommand: Command<CleanupArguments> = {
  command: "cleanup",
  describe: "Remove the leftovers in AWS of jobs whose controller has died",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...accessOptions,
        ...signingOptions,
        "older-than": {
          type: "string",
          default: "1h",
          requiresArg: true,
          coerce: once("older-than"),
          describe: "Leave jobs alone that were alive more recently than this: 30s, 90m, 1h, 2d",
        },
        "dry-run": { type: "boolean", default: false, describe: "Only list the jobs" },
      })
      .example("$0 cleanup --repo s3://backups/fleet --dry-run", "see what would be removed")
      .example(
        "$0 cleanup --repo s3://backups/fleet --older-than 6h",
        "from a daily timer",
      ) as unknown as Argv<CleanupArguments>,
  handler: async (args) => {
    const olderThanMs = parseDuration("older-than", args.olderThan);
    const location = storageLocation(args);
    const repository = await openRepository(location);
    const { storage } = repository;
    const signing = openSigning(repository, parseSigning(args), { profile: profileOf(location) });
    if (args.dryRun) {
      const { abandoned, left, problems } = await unfinishedJobs(storage, signing, olderThanMs);
      exitWithProblems(problems);
      const wouldClean = abandoned.map(({ job, made }) => ({ job, made }));
      const lines = wouldClean.map(({ job, made }) => `${job}: ${JSON.stringify(made)}`);
      const text = ["Would be cleaned up:", ...lines, ...describeProblems(problems)];
      return printResult<ControllerOutput<"cleanup --dry-run">>(
        args.json,
        { wouldClean, left, problems },
        text,
      );
    }
    const report = await cleanUp({
      ...{ storage, signing, olderThanMs, display: stepDisplay(args.json) },
      reopenParties: (plan) => reopenParties(plan, withAccess(plan.request, args), signing),
    });
    exitWithProblems(report.problems);
    printResult<ControllerOutput<"cleanup">>(args.json, report, describeReport(report));
  },
};

function describeReport({ cleaned, left, problems, removed }: CleanupReport): string[] {
  return [
    cleaned.length === 0 ? "There was nothing to clean up." : `Cleaned up: ${cleaned.join(", ")}`,
    ...(left.length === 0 ? [] : [`Left alone, as they may still run: ${left.join(", ")}`]),
    ...(removed.length === 0 ? [] : [`Removed the documents of ${removed.length} jobs that ended long ago.`]),
    ...describeProblems(problems),
  ];
}
