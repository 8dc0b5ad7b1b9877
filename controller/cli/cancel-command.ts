import type { Argv } from "yargs";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { requestCancel } from "../../repository/jobs/job-replies.js";
import { openRepository } from "../../repository/open/repository.js";
import { timing } from "../aws/poll.js";
import { seemsAlive } from "../run/journal.js";
import { findClaimedJournal } from "./access-options.js";
import type { ControllerOutput } from "./outputs.js";

interface CancelArguments extends StorageArguments {
  job: string;
  json: boolean;
}

export const cancelCommand: Command<CancelArguments> = {
  command: "cancel <job>",
  describe: "End a job: its agent stops, and its controller removes everything it made",
  builder: (parser: Argv) =>
    parser
      .positional("job", { type: "string", describe: "Id of the job" })
      .options({ ...storageOptions })
      .example(
        "$0 cancel job-20261123T112150Z-3f9a1c2b --repo s3://backups/fleet",
        "from any machine that can write to the repository",
      ) as unknown as Argv<CancelArguments>,
  handler: async ({ job, json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    // Anyone who may write here may request a cancel; in an emergency it must not need a key.
    const record = await findClaimedJournal(storage, job);
    if (record.state === "finished") {
      return printResult<ControllerOutput<"cancel">>(json, { job, cancelled: false }, [
        `Job ${job} has already ended.`,
      ]);
    }
    await requestCancel(storage, job);
    const cleanup = seemsAlive(record, timing().heartbeatMs)
      ? "Its controller removes the temporary resources."
      : `Its controller is gone: \`blockferry resume ${job}\` removes the temporary resources.`;
    printResult<ControllerOutput<"cancel">>(json, { job, cancelled: true }, [
      `Job ${job} is being cancelled. ${cleanup}`,
    ]);
  },
};
