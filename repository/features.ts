import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";

/** Names of features, bounded in length for display and in number for comparison. */
export const featureNames = z
  .array(z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{0,63}$/)))
  .check(z.maxLength(64));

/**
 * Features beyond version 3: a program must know all of `read` to read the repository, and also `write` to
 * change it.
 */
export const FeaturesSchema = z.object({ read: featureNames, write: featureNames });

/** Features that this version can read, in repositories and in single points. */
export const READ_FEATURES: ReadonlySet<string> = new Set();

/** Features that this version preserves when it writes. */
export const WRITE_FEATURES: ReadonlySet<string> = new Set();

export function unknownFeatures(needed: readonly string[], known: ReadonlySet<string>): string[] {
  return needed.filter((feature) => !known.has(feature));
}

/** Returns the error for unknown features. @param name of the storage */
export function featuresUnknown(
  name: string,
  purpose: "reading" | "writing",
  features: string[],
): BlockferryError {
  return new BlockferryError({
    code: "RepositoryUnsupported",
    message: `${name} was made by a later version of blockferry: ${purpose} needs ${features.join(", ")}.`,
    remedy:
      purpose === "reading"
        ? "Use that version, or a newer one."
        : "Use that version, or a newer one. This one can list, show, verify and restore its recovery points.",
    object: "config.json",
  });
}
