import type { Argv, CommandModule } from "yargs";

/** A command of a program: its options and its handler. */
export interface Command<Arguments> extends CommandModule<object, Arguments> {
  builder(parser: Argv): Argv<Arguments>;
}

/** Adds an epilogue to the help of one command. yargs shows it only in the help of that command. */
export function withEpilogue<Arguments>(command: Command<Arguments>, epilogue: string): Command<Arguments> {
  return { ...command, builder: (parser) => command.builder(parser).epilogue(epilogue) };
}
