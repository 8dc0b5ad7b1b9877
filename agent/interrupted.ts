import { BlockferryError } from "../foundation/blockferry-error.js";

/** @throws Interrupted when the signal has fired */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again; a backup goes on from what is already stored.",
  });
}
