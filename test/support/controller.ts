import { fileURLToPath } from "node:url";
import { CONTROLLER_OUTPUTS } from "../../controller/cli/outputs.js";
import { holdingToSchemas } from "./printed-json.js";
import { type ProgramResult, type RunningProgram, startProgram } from "./start-program.js";

/** The installed controller, which runs in its own process. */
export const CONTROLLER = fileURLToPath(new URL("../../programs/controller/main.js", import.meta.url));

/**
 * Starts `blockferry`; the caller may kill it. Its JSON is held to the schema of its command.
 * @param onStderr receives the whole standard error so far at each new output
 */
export function startController(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  onStderr: (text: string) => void = () => undefined,
): RunningProgram {
  return holdingToSchemas(CONTROLLER_OUTPUTS, args, startProgram(CONTROLLER, args, { env, onStderr }));
}

/** Runs `blockferry` until it exits, with or without an error. */
export function controller(args: string[], env: NodeJS.ProcessEnv = {}): Promise<ProgramResult> {
  return startController(args, env).result;
}
