import { existsSync, readFileSync } from "node:fs";
import type { Argv, CommandModule } from "yargs";
import yargs from "yargs";
import { asBlockferryError, BlockferryError, workingDirectoryGone } from "../foundation/errors.js";
import { explainInterrupt, handleInterrupts } from "./interrupt.js";
import { EXIT, exitCodeOf, exitNow, outliveReaders, outputWritten, printError } from "./output.js";
import { refuseUndecodable } from "./undecodable.js";

/** A program with several commands. */
export interface Program {
  /** The name as the user types it: `blockferry-agent`. */
  name: string;
  describe: string;
  /** Adds the commands to a parser, each as `prepare` returns it. */
  addCommands(parser: Argv, prepare: PrepareCommand): Argv;
}

/** Adds the parts that all commands share: the end of the help, and texts about interrupts. */
type PrepareCommand = <Arguments>(command: Command<Arguments>) => Command<Arguments>;

const EPILOGUE = `Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 data damaged, 130 interrupted.
BLOCKFERRY_REPO stands in for --repo. Results go to standard output, progress and errors to standard error.`;

/** Name of the errors that yargs throws: all of them are usage errors. */
const YARGS_ERROR = "YError";

/**
 * Runs one command line and ends the process with its exit code.
 * @param args without the program; the last arguments of the process
 * @param workingDirectory `gone` if it was removed. The starter has found out, because some modules ask for it
 * when they are loaded
 */
export async function runCommandLine(
  program: Program,
  args: string[],
  workingDirectory: WorkingDirectory,
): Promise<void> {
  const json = args.includes("--json");
  const verbose = args.includes("--verbose");
  outliveReaders();
  const print = (error: BlockferryError) => printError(error, { program: program.name, json, verbose });
  const fail = async (thrown: unknown) => {
    const error = explainInterrupt(asBlockferryError(thrown));
    print(error);
    await exitNow(program.name, exitCodeOf(error));
  };
  // Both are bugs in the program. The user still gets the error in the requested format.
  process.once("uncaughtException", fail);
  process.once("unhandledRejection", fail);
  const prepare: PrepareCommand = (command) => ({
    ...command,
    builder: (builder) => command.builder(builder).epilogue(EPILOGUE),
    handler: (given) => {
      handleInterrupts(`${program.name} ${nameOf(command)}`, (error) => {
        print(explainInterrupt(error));
        return outputWritten();
      });
      return command.handler(given);
    },
  });
  try {
    if (workingDirectory === "gone" && !args.some((arg) => WITHOUT_FILES.has(arg)))
      throw workingDirectoryGone();
    refuseUndecodable(args);
    await parser(program, args, prepare).parseAsync();
    await exitNow(program.name, typeof process.exitCode === "number" ? process.exitCode : EXIT.ok);
  } catch (thrown) {
    await fail(thrown);
  }
}

/** Whether the working directory of the process exists. */
export type WorkingDirectory = "there" | "gone";

/** Options that answer without opening a file. */
const WITHOUT_FILES = new Set(["--help", "-h", "--version"]);

/** Returns the first word of a command: "show" for "show <point>". */
function nameOf({ command = "" }: Pick<CommandModule, "command">): string {
  return String(command).split(" ")[0] as string;
}

function parser(program: Program, args: string[], prepare: PrepareCommand): Argv {
  const usageError = (message: string) =>
    new BlockferryError({
      code: "Usage",
      message,
      remedy: `See \`${program.name} --help\`, or \`${program.name} COMMAND --help\`.`,
    });
  return program
    .addCommands(
      // yargs asks for the working directory if it gets none, but needs it only for options that are not used.
      yargs(args, "/").scriptName(program.name).usage(`$0 <command>\n\n${program.describe}`),
      prepare,
    )
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
