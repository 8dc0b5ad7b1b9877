import yargs, { type Argv } from "yargs";
import { asBlockferryError, BlockferryError } from "../foundation/blockferry-error.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { exitNow, outliveReaders, printError } from "./output.js";
import { packageVersion } from "./version.js";

/** A program with several commands. */
export interface Program {
  /** The name as the user types it: `blockferry-agent`. */
  name: string;
  describe: string;
  /** Adds the commands to a parser, each with `epilogue` at the end of its help. */
  addCommands(parser: Argv, epilogue: string): Argv;
}

const EPILOGUE = `Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 data damaged, 130 interrupted.
BLOCKFERRY_REPO stands in for --repo. Results go to standard output, progress and errors to standard error.`;

/** Name of the errors that yargs throws: all of them are usage errors. */
const YARGS_ERROR = "YError";

/** Runs one command line and ends the process with its exit code. */
export async function runCommandLine(program: Program, args: string[]): Promise<void> {
  const json = args.includes("--json");
  const verbose = args.includes("--verbose");
  outliveReaders();
  const fail = async (thrown: unknown) => {
    const error = asBlockferryError(thrown);
    printError(error, { program: program.name, json, verbose });
    await exitNow(program.name, exitCodeOf(error));
  };
  // Both are bugs in the program. The user still gets the error in the requested format.
  process.once("uncaughtException", fail);
  process.once("unhandledRejection", fail);
  try {
    await parser(program, args).parseAsync();
    await exitNow(program.name, typeof process.exitCode === "number" ? process.exitCode : EXIT.ok);
  } catch (thrown) {
    await fail(thrown);
  }
}

function parser(program: Program, args: string[]): Argv {
  const usageError = (message: string) =>
    new BlockferryError({
      code: "Usage",
      message,
      remedy: `See \`${program.name} --help\`, or \`${program.name} COMMAND --help\`.`,
    });
  return program
    .addCommands(yargs(args).scriptName(program.name).usage(`$0 <command>\n\n${program.describe}`), EPILOGUE)
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
    .check(({ _: [, ...leftovers] }) => {
      // `strict` ignores arguments after `--`.
      if (leftovers.length > 0) throw usageError(`Unknown argument: ${leftovers.join(" ")}`);
      return true;
    })
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .version(packageVersion())
    .help()
    .alias("help", "h")
    .epilogue(EPILOGUE)
    .exitProcess(false)
    .fail((message, error) => {
      if (error !== undefined && error.name !== YARGS_ERROR) throw error;
      throw usageError(message ?? error?.message);
    });
}
