import { BlockferryError } from "./blockferry-error.js";

/** Throws if the signal has fired. @throws Interrupted */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw interrupted();
}

export function interrupted(): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again; a backup goes on from what is already stored.",
  });
}
