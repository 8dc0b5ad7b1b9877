import yargs, { type Argv } from "yargs";
import { asBlockferryError, BlockferryError } from "../../foundation/blockferry-error.js";
import { backupCommand } from "./backup-command.js";
import type { Command } from "./command.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { initCommand } from "./init-command.js";
import { listCommand } from "./list-command.js";
import { exitNow, outliveReaders, printError } from "./output.js";
import { restoreCommand } from "./restore-command.js";
import { serveCommand } from "./serve-command.js";
import { showCommand } from "./show-command.js";
import { verifyCommand } from "./verify-command.js";

const EPILOGUE = `Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 data damaged, 130 interrupted.
BLOCKFERRY_REPO stands in for --repo. Results go to standard output, progress and errors to standard error.`;

/** The name of the errors that yargs throws itself: all of them are the caller's. */
const YARGS_ERROR = "YError";

/** Runs one command line and ends the process with its exit code. */
export async function runCli(args: string[]): Promise<void> {
  const json = args.includes("--json");
  const verbose = args.includes("--verbose");
  outliveReaders();
  try {
    await parser(args).parseAsync();
    await exitNow(typeof process.exitCode === "number" ? process.exitCode : EXIT.ok);
  } catch (thrown) {
    const error = asBlockferryError(thrown);
    printError(error, { json, verbose });
    await exitNow(exitCodeOf(error));
  }
}

function parser(args: string[]): Argv {
  return yargs(args)
    .scriptName("blockferry-agent")
    .usage("$0 <command>\n\nBacks up block devices into a repository, and restores them bit for bit.")
    .command(withEpilogue(initCommand))
    .command(withEpilogue(backupCommand))
    .command(withEpilogue(restoreCommand))
    .command(withEpilogue(listCommand))
    .command(withEpilogue(showCommand))
    .command(withEpilogue(verifyCommand))
    .command(withEpilogue(serveCommand))
    .demandCommand(1, "Name a command.")
    .options({
      json: { type: "boolean", default: false, describe: "Print the result, or the error, as JSON" },
      verbose: { type: "boolean", default: false, describe: "Print the stack trace of an error" },
    })
    .strict()
    .parserConfiguration({
      "duplicate-arguments-array": true,
      "greedy-arrays": false,
      "boolean-negation": false,
      "dot-notation": false,
    })
    .check(refuseLeftovers)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .version()
    .help()
    .alias("help", "h")
    .epilogue(EPILOGUE)
    .exitProcess(false)
    .fail((message, error) => {
      if (error !== undefined && error.name !== YARGS_ERROR) throw error;
      throw usageError(message ?? error?.message);
    });
}

/** `strict` does not look at what follows a `--`. */
function refuseLeftovers({ _: [, ...leftovers] }: { _: (string | number)[] }): true {
  if (leftovers.length === 0) return true;
  throw usageError(`Unknown argument: ${leftovers.join(" ")}`);
}

/** yargs keeps an epilogue to the help of the command that it was given for. */
function withEpilogue<Arguments>(command: Command<Arguments>): Command<Arguments> {
  return { ...command, builder: (parser) => command.builder(parser).epilogue(EPILOGUE) };
}

function usageError(message: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message,
    remedy: "See `blockferry-agent --help`, or `blockferry-agent COMMAND --help`.",
  });
}
