import type { Argv, CommandModule } from "yargs";

/** A command of a program: its options, and what it does with them. */
export interface Command<Arguments> extends CommandModule<object, Arguments> {
  builder(parser: Argv): Argv<Arguments>;
}

/** yargs keeps an epilogue to the help of the command that it was given for. */
export function withEpilogue<Arguments>(command: Command<Arguments>, epilogue: string): Command<Arguments> {
  return { ...command, builder: (parser) => command.builder(parser).epilogue(epilogue) };
}
