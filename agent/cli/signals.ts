import { EXIT } from "../../command-line/exit-codes.js";

/** How long a run may take to wind down after an interrupt: whole packs are kept, but nobody is kept waiting. */
const WIND_DOWN_MS = 2500;

/**
 * Fires at the first SIGINT or SIGTERM. A run that has not ended soon after is ended: what it had not finished is left as
 * temporary files or uploads, which the next backup removes. A second signal ends it at once.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) endProcess();
    process.stderr.write("\nInterrupted; keeping what is stored. Once more to end at once.\n");
    controller.abort();
    setTimeout(endProcess, WIND_DOWN_MS).unref();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

/**
 * `process.exit` waits for system calls that are under way, and a read from a hung device may never return. So the process
 * gives itself a deadline by dying of the signal, which a shell reports as 130 too.
 */
function endProcess(): never {
  process.removeAllListeners("SIGINT");
  process.kill(process.pid, "SIGINT");
  process.exit(EXIT.interrupted);
}
