import { listCommand, showCommand } from "../command-line/point-commands.js";
import { type Program, runCommandLine, type WorkingDirectory } from "../command-line/run-command-line.js";
import { backupCommand } from "./cli/backup-command.js";
import { cancelCommand } from "./cli/cancel-command.js";
import { checkCommand } from "./cli/check-command.js";
import { cleanupCommand } from "./cli/cleanup-command.js";
import { iamPolicyCommand } from "./cli/iam-policy-command.js";
import { restoreCommand } from "./cli/restore-command.js";
import { resumeCommand } from "./cli/resume-command.js";
import { statusCommand } from "./cli/status-command.js";

const CONTROLLER: Program = {
  name: "blockferry",
  describe:
    "Backs up and restores EC2 instances with encrypted volumes through a worker, in the same account or another.",
  addCommands: (parser, prepare) =>
    parser
      .command(prepare(backupCommand))
      .command(prepare(checkCommand))
      .command(prepare(restoreCommand))
      .command(prepare(statusCommand))
      .command(prepare(cancelCommand))
      .command(prepare(resumeCommand))
      .command(prepare(cleanupCommand))
      .command(prepare(listCommand("blockferry", "points")))
      .command(prepare(showCommand))
      .command(prepare(iamPolicyCommand)),
};

/** Runs one command line and ends the process with its exit code. */
export function runCli(args: string[], workingDirectory: WorkingDirectory): Promise<void> {
  return runCommandLine(CONTROLLER, args, workingDirectory);
}
