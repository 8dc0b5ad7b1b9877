import type { Argv } from "yargs";
import { interruptSignal } from "../../command-line/interrupt.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import { openParties } from "../plan/parties.js";
import { ROUTE_TABLE } from "../plan/route.js";
import { openSigning } from "../plan/signing.js";
import { preflight } from "../preflight/preflight.js";
import { startJob } from "../run/start-job.js";
import { backupResult, JobReport, queueNotes } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import { parseRequest, type RequestArguments, requestOptions } from "./request-options.js";
import { stepDisplay } from "./step-display.js";

interface BackupCommandArguments extends RequestArguments {
  json: boolean;
}

export const backupCommand: Command<BackupCommandArguments> = {
  command: "backup",
  describe: "Back up an EC2 instance through a worker into one recovery point",
  builder: (parser: Argv) =>
    parser
      .options({ ...requestOptions })
      .example(
        "$0 backup --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker i-0f1e2d3c4b5a69788",
        "worker in the same account",
      )
      .example(
        "$0 backup --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --source-role arn:aws:iam::111111111111:role/blockferry-source --worker i-0f1e2d3c4b5a69788",
        "worker in the account of the environment's credentials",
      )
      .example(
        "$0 backup --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker-ami ami-0123 --worker-subnet subnet-0123 --worker-type c7i.4xlarge --worker-profile blockferry-agent",
        "a worker for this backup alone",
      ) as unknown as Argv<BackupCommandArguments>,
  handler: async (args) => {
    const request = parseRequest(args);
    const report = await JobReport.prepare(args.report);
    const location = storageLocation(args);
    const repository = await openRepository(location);
    const { storage } = repository;
    const display = stepDisplay(args.json);
    const signal = interruptSignal();
    const signing = openSigning(repository, request, { profile: profileOf(location), signal });
    const parties = await openParties(request, signing, signal);
    display.begin("Checking");
    const { plan, findings } = await preflight(request, parties);
    display.end(findings.problems.length === 0 ? "done" : "failed");
    findings.throwIfAny();
    for (const note of findings.notes) display.note(note);
    if (plan === undefined) throw new Error("The preflight found neither a plan nor a problem.");
    display.note(`job ${plan.jobId}, ${ROUTE_TABLE[plan.route].title}`);
    for (const note of await queueNotes(storage, plan, signing)) display.note(note);
    signal.throwIfAborted();
    const record = await startJob(plan, { parties, storage, display, signal });
    const { json, text } = backupResult(record, plan);
    printResult<ControllerOutput<"backup">>(args.json, json, text);
    await report?.write(record, storage.until(signal), signing, display.note);
  },
};
