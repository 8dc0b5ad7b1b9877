import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_BYTES } from "./chunk.js";

/** Names of features, bounded in length for display and in number for comparison. */
export const featureNames = z
  .array(z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{0,63}$/)))
  .check(z.maxLength(64));

/**
 * Features beyond version 3: a program must know all of `read` to read the repository, and also `write` to
 * change it.
 */
const FeaturesSchema = z.object({ read: featureNames, write: featureNames });

/** Features that this version can read, in repositories and in single points. */
export const READ_FEATURES: ReadonlySet<string> = new Set();

/** Features that this version preserves when it writes. */
const WRITE_FEATURES: ReadonlySet<string> = new Set();

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

export const CONFIG_KEY = "config.json";

const common = {
  format: z.literal("blockferry-repository"),
  id: z.uuid(),
  chunkBytes: z.literal(CHUNK_BYTES),
  createdAt: z.iso.datetime(),
};

const encryptionFields = {
  mode: z.literal("aes-256-gcm"),
  /** Shows whether a data key belongs to this repository. */
  keyCheck: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
};

/**
 * Version 2 is an encrypted version 1: a program that knows only version 1 must not store plaintext there.
 * Version 3 may be encrypted or not, and lists additional features that a program needs.
 */
export const ConfigSchema = z.discriminatedUnion("version", [
  z.strictObject({
    ...common,
    version: z.literal(1),
    encryption: z.strictObject({ mode: z.literal("none") }),
  }),
  z.strictObject({
    ...common,
    version: z.literal(2),
    encryption: z.strictObject(encryptionFields),
  }),
  z.object({
    ...common,
    version: z.literal(3),
    encryption: z.discriminatedUnion("mode", [
      z.object({ mode: z.literal("none") }),
      z.object(encryptionFields),
    ]),
    features: FeaturesSchema,
  }),
]);

/** Checked first, so that the error for a later format names the features that it needs. */
export const NeedsSchema = z.object({ version: z.number(), features: z.optional(FeaturesSchema) });

/** Settings of a whole repository, written once at its creation. */
export type RepositoryConfig = z.infer<typeof ConfigSchema>;

/** Returns the config of a new repository. @param keyCheck of the data key, for an encrypted repository */
export function newConfig(id: string, keyCheck?: string): RepositoryConfig {
  const common = { format: "blockferry-repository", id, chunkBytes: CHUNK_BYTES } as const;
  const encryption =
    keyCheck === undefined ? { mode: "none" as const } : { mode: "aes-256-gcm" as const, keyCheck };
  const createdAt = new Date().toISOString();
  return { ...common, version: 3, encryption, features: { read: [], write: [] }, createdAt };
}

/** Returns the features required for writing that this program does not know. */
export function unknownForWriting(config: RepositoryConfig): string[] {
  return config.version === 3 ? unknownFeatures(config.features.write, WRITE_FEATURES) : [];
}
