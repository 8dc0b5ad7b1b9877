import { EXIT } from "../../command-line/exit-codes.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";

/**
 * Fires at the first SIGINT, SIGTERM or SIGHUP (the terminal was closed); what was made is then removed, which takes a while. A
 * second signal ends the process and leaves that to `blockferry cleanup`, except for SIGHUP: one closing terminal may send it
 * several times, by the kernel and by the shell.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      process.stderr.write("\nInterrupted; removing what was made. Once more to end at once.\n");
      controller.abort(interrupted());
    } else if (signal !== "SIGHUP") {
      process.stderr.write("\nEnded at once. Run `blockferry cleanup` to remove what was made.\n");
      process.exit(EXIT.interrupted);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  return controller.signal;
}

function interrupted(): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again; it does not store again what was stored.",
  });
}
