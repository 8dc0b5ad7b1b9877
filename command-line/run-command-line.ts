import { existsSync, readFileSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import yargs from "yargs";
import { asBlockferryError, BlockferryError } from "../foundation/errors.js";
import { EXIT, exitCodeOf, exitNow, outliveReaders, printError } from "./output.js";

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

/**
 * Returns the version of the package that contains this file, bundled or not. yargs would take the package of
 * the current folder.
 */
function packageVersion(): string {
  let folder = new URL(".", import.meta.url);
  while (!existsSync(new URL("package.json", folder)) && folder.pathname !== "/")
    folder = new URL("..", folder);
  return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")).version;
}

/** A command of a program: its options and its handler. */
export interface Command<Arguments> extends CommandModule<object, Arguments> {
  builder(parser: Argv): Argv<Arguments>;
}

/** Adds an epilogue to the help of one command. yargs shows it only in the help of that command. */
export function withEpilogue<Arguments>(command: Command<Arguments>, epilogue: string): Command<Arguments> {
  return { ...command, builder: (parser) => command.builder(parser).epilogue(epilogue) };
}
