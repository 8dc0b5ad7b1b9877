import { listCommand, showCommand } from "../command-line/point-commands.js";
import { type Program, runCommandLine, withEpilogue } from "../command-line/run-command-line.js";
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
  addCommands: (parser, epilogue) =>
    parser
      .middleware(checkIoThreads)
      .command(withEpilogue(initCommand, epilogue))
      .command(withEpilogue(backupCommand, epilogue))
      .command(withEpilogue(restoreCommand, epilogue))
      .command(withEpilogue(nbdCommand, epilogue))
      .command(withEpilogue(exportCommand, epilogue))
      .command(withEpilogue(listCommand("blockferry-agent", "list"), epilogue))
      .command(withEpilogue(showCommand, epilogue))
      .command(withEpilogue(verifyCommand, epilogue))
      .command(withEpilogue(copyCommand, epilogue))
      .command(withEpilogue(statsCommand, epilogue))
      .command(withEpilogue(tuneCommand, epilogue))
      .command(withEpilogue(forgetCommand, epilogue))
      .command(withEpilogue(pruneCommand, epilogue))
      .command(withEpilogue(repairCommand, epilogue))
      .command(withEpilogue(keyCommand, epilogue))
      .command(withEpilogue(trustCommand, epilogue))
      .command(withEpilogue(serveCommand, epilogue))
      .command(withEpilogue(limitsCommand, epilogue)),
};

/** Runs one command line and ends the process with its exit code. */
export function runCli(args: string[]): Promise<void> {
  return runCommandLine(AGENT, args);
}
