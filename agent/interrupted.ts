import { BlockferryError } from "../errors/blockferry-error.js";

export function interrupted(): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again; a backup goes on from what is already stored.",
  });
}
