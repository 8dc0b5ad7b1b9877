import { fileURLToPath } from "node:url";
import { type ProgramResult, type RunningProgram, startProgram } from "./start-program.js";

/** The controller as it is installed: a process of its own. */
const CONTROLLER = fileURLToPath(new URL("../../programs/controller/main.js", import.meta.url));

/** Starts `blockferry`; the caller may kill it. @param onStderr sees everything that it has printed there so far */
export function startController(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  onStderr: (text: string) => void = () => undefined,
): RunningProgram {
  return startProgram(CONTROLLER, args, { env, onStderr });
}

/** Runs `blockferry` to its end, whatever that is. */
export function controller(args: string[], env: NodeJS.ProcessEnv = {}): Promise<ProgramResult> {
  return startController(args, env).result;
}
