import type { Argv, CommandModule } from "yargs";

/** A command of the agent: its options, and what it does with them. */
export interface Command<Arguments> extends CommandModule<object, Arguments> {
  builder(parser: Argv): Argv<Arguments>;
}
