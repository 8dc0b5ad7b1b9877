import * as z from "zod/mini";
import { BandwidthLimit } from "./bandwidth-limit.js";
import { type S3Location, STORAGE_CLASSES } from "./s3/s3-location.js";
import type { StorageLocation } from "./storage.js";

const EncryptionSchema = z
  .strictObject({
    algorithm: z.enum(["AES256", "aws:kms"]),
    /** ARN of the KMS key; without it the server uses its default key. */
    kmsKey: z.optional(z.string()),
  })
  .check(z.refine(({ algorithm, kmsKey }) => kmsKey === undefined || algorithm === "aws:kms"));

export const StorageChoicesSchema = z.strictObject({
  /** Storage class of new packs. */
  storageClass: z.optional(z.enum(STORAGE_CLASSES)),
  /** Encryption of new objects by the server. */
  encryption: z.optional(EncryptionSchema),
  /** Limit for all threads together, in both directions. */
  bytesPerSecond: z.optional(z.int().check(z.positive())),
  /** How long a request may pass no bytes before it is retried. */
  timeoutMs: z.optional(z.int().check(z.positive())),
});

/**
 * How a repository in S3 is to be written. Unlike its location and the settings of one machine, this applies
 * to every writer, so a job includes it. The writer decides about the fields that are left out.
 */
export type StorageChoices = z.infer<typeof StorageChoicesSchema>;

/** Returns the location with these choices for writing; a local directory has none. */
export function withChoices(location: StorageLocation, choices: StorageChoices): StorageLocation {
  return location.kind === "s3" ? { ...location, ...s3Fields(location, choices) } : location;
}

function s3Fields(location: S3Location, choices: StorageChoices): Partial<S3Location> {
  const { storageClass, encryption, bytesPerSecond, timeoutMs } = choices;
  return {
    storageClass: storageClass ?? location.storageClass,
    encryption: encryption === undefined ? location.encryption : { kmsKey: undefined, ...encryption },
    bandwidthLimit:
      bytesPerSecond === undefined ? location.bandwidthLimit : BandwidthLimit.create(bytesPerSecond).memory,
    timeoutMs: timeoutMs ?? location.timeoutMs,
  };
}
