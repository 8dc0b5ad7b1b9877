import { BlockferryError, interrupted } from "../foundation/errors.js";
import { INTERRUPTIONS, type Interruption } from "./interruptions.js";
import { EXIT } from "./output.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The texts of the command that this process runs. */
let texts: Interruption | undefined;

function onSignals(listener: (signal: NodeJS.Signals) => void): void {
  for (const signal of SIGNALS) process.removeAllListeners(signal).on(signal, listener);
}

/**
 * Handles interrupts of a command. Until the command calls `interruptSignal`, the first one ends the process.
 * @param command program and command: "blockferry-agent init"
 * @param print prints the error, and waits until it is written
 */
export function handleInterrupts(command: string, print: (error: BlockferryError) => Promise<void>): void {
  texts = INTERRUPTIONS[command];
  onSignals(() => {
    onSignals(endProcess);
    void print(interrupted()).finally(endProcess);
  });
}

/**
 * Returns a signal that fires at the first SIGINT, SIGTERM or SIGHUP. SIGHUP means that the terminal was
 * closed. A second signal ends the process at once, except for SIGHUP: one closing terminal may send it
 * several times, from the kernel and from the shell.
 */
export function interruptSignal(): AbortSignal {
  const { doing = "ending", left, windDownMs } = texts ?? {};
  const controller = new AbortController();
  onSignals((signal) => {
    if (!controller.signal.aborted) {
      process.stderr.write(`\nInterrupted; ${doing}. Press Ctrl-C again to quit now.\n`);
      controller.abort(interrupted());
      if (windDownMs !== undefined) setTimeout(endProcess, windDownMs).unref();
    } else if (signal !== "SIGHUP") {
      if (left !== undefined) process.stderr.write(`\n${left}\n`);
      endProcess();
    }
  });
  return controller.signal;
}

/**
 * Returns an error of an interrupt with the texts of the command; other errors unchanged. Threads and storages
 * only report that they were interrupted.
 */
export function explainInterrupt(error: BlockferryError): BlockferryError {
  if (error.code !== "Interrupted" || texts === undefined) return error;
  const { outcome, remedy } = texts;
  const record = {
    ...error.toRecord(),
    message: `Interrupted: ${outcome}.`,
    // The runner of a job appends to the remedy.
    remedy: error.remedy.replace(interrupted().remedy, () => remedy),
  };
  return new BlockferryError(record, error);
}

/**
 * Ends the process by SIGINT, which a shell also reports as 130. `process.exit` alone would wait for running
 * system calls, and a read from a hung device may never return.
 */
function endProcess(): never {
  process.removeAllListeners("SIGINT");
  process.kill(process.pid, "SIGINT");
  process.exit(EXIT.interrupted);
}
