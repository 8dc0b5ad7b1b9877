import { interrupted } from "../foundation/errors.js";
import { EXIT } from "./output.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

interface InterruptOptions {
  /** The activity of the program after the first signal, for the message. */
  doing: string;
  /** Message about the remaining work, printed after the second signal. */
  left?: string;
  /** How long the program may take to end after the first signal; no limit if left out. */
  windDownMs?: number;
}

/** Keeps complete packs. The next backup removes unfinished temporary files and uploads. */
export const KEEP_STORED: InterruptOptions = { doing: "keeping the stored data", windDownMs: 2500 };

export const REMOVE_MADE: InterruptOptions = {
  doing: "removing the temporary resources",
  left: "Quit at once. Run `blockferry cleanup` to remove the temporary resources.",
};

/**
 * Returns a signal that fires at the first SIGINT, SIGTERM or SIGHUP. SIGHUP means that the terminal was
 * closed. A second signal ends the process at once, except for SIGHUP: one closing terminal may send it
 * several times, from the kernel and from the shell.
 */
export function interruptSignal({ doing, left, windDownMs }: InterruptOptions): AbortSignal {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      process.stderr.write(`\nInterrupted; ${doing}. Press Ctrl-C again to quit now.\n`);
      controller.abort(interrupted());
      if (windDownMs !== undefined) setTimeout(endProcess, windDownMs).unref();
    } else if (signal !== "SIGHUP") {
      if (left !== undefined) process.stderr.write(`\n${left}\n`);
      endProcess();
    }
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return controller.signal;
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
