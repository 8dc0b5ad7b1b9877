import { EXIT } from "../../command-line/exit-codes.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";

/**
 * Fires at the first SIGINT or SIGTERM; what was made is then removed, which takes a while. A second signal ends the process
 * and leaves that to `blockferry cleanup`.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) {
      process.stderr.write("\nEnded at once. Run `blockferry cleanup` to remove what was made.\n");
      process.exit(EXIT.interrupted);
    }
    process.stderr.write("\nInterrupted; removing what was made. Once more to end at once.\n");
    controller.abort(interrupted());
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

function interrupted(): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again; it does not store again what was stored.",
  });
}
