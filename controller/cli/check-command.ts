import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { EXIT } from "../../command-line/exit-codes.js";
import { printResult } from "../../command-line/output.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { openRepository, profileOf } from "../../repository/repository.js";
import { openSigning } from "../aws/signing-key.js";
import { openParties } from "../parties.js";
import { preflight } from "../preflight/preflight.js";
import { checkResult, describeCheck } from "./check-report.js";
import { JobReport } from "./job-report.js";
import { parseRequest } from "./parse-request.js";
import { queueNotes } from "./queue-note.js";
import { type RequestArguments, requestOptions } from "./request-options.js";

interface CheckArguments extends RequestArguments {
  json: boolean;
}

export const checkCommand: Command<CheckArguments> = {
  command: "check",
  describe: "Check whether a backup would work, by which route, and what it needs; creates nothing",
  builder: (parser: Argv) =>
    parser
      .options({ ...requestOptions })
      .example(
        "$0 check --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker i-0f1e2d3c4b5a69788",
        "with the options of the backup to come",
      ) as unknown as Argv<CheckArguments>,
  handler: async (args) => {
    const request = parseRequest(args);
    await JobReport.prepare(args.report);
    const location = storageLocation(args);
    const repository = await openRepository(location);
    const signing = openSigning(repository, request, { profile: profileOf(location) });
    const parties = await openParties(request, signing);
    const result = await preflight(request, parties);
    if (result.plan !== undefined)
      result.findings.notes.push(...(await queueNotes(repository.storage, result.plan, signing)));
    if (result.findings.problems.length > 0) process.exitCode = EXIT.failed;
    printResult(args.json, checkResult(result), describeCheck(result));
  },
};
