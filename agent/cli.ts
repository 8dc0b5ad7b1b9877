import { listCommand, showCommand } from "../command-line/point-commands.js";
import { type Program, runCommandLine, type WorkingDirectory } from "../command-line/run-command-line.js";
import { backupCommand } from "./cli/backup-command.js";
import { copyCommand } from "./cli/copy-command.js";
import { forgetCommand } from "./cli/forget-command.js";
import { initCommand } from "./cli/init-command.js";
import { keyCommand } from "./cli/key-command.js";
import { limitsCommand } from "./cli/limits-command.js";
import { pruneCommand } from "./cli/prune-command.js";
import { repairCommand } from "./cli/repair-command.js";
import { restoreCommand } from "./cli/restore-command.js";
import { serveCommand } from "./cli/serve-command.js";
import { statsCommand } from "./cli/stats-command.js";
import { trustCommand } from "./cli/trust-command.js";
import { tuneCommand } from "./cli/tune-command.js";
import { verifyCommand } from "./cli/verify-command.js";
import { exportCommand, nbdCommand } from "./cli/volume-commands.js";
import { checkIoThreads } from "./tune/parallelism.js";

const AGENT: Program = {
  name: "blockferry-agent",
  describe: "Backs up block devices into a repository, and restores them bit for bit.",
  addCommands: (parser, prepare) =>
    parser
      .middleware(checkIoThreads)
      .command(prepare(initCommand))
      .command(prepare(backupCommand))
      .command(prepare(restoreCommand))
      .command(prepare(nbdCommand))
      .command(prepare(exportCommand))
      .command(prepare(listCommand("blockferry-agent", "list")))
      .command(prepare(showCommand))
      .command(prepare(verifyCommand))
      .command(prepare(copyCommand))
      .command(prepare(statsCommand))
      .command(prepare(tuneCommand))
      .command(prepare(forgetCommand))
      .command(prepare(pruneCommand))
      .command(prepare(repairCommand))
      .command(prepare(keyCommand))
      .command(prepare(trustCommand))
      .command(prepare(serveCommand))
      .command(prepare(limitsCommand)),
};

/** Runs one command line and ends the process with its exit code. */
export function runCli(args: string[], workingDirectory: WorkingDirectory): Promise<void> {
  return runCommandLine(AGENT, args, workingDirectory);
}
