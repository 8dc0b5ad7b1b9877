import * as z from "zod/mini";
import { BandwidthLimit } from "./bandwidth-limit.js";
import { type S3Location, STORAGE_CLASSES } from "./s3/s3-location.js";
import type { StorageLocation } from "./storage.js";

const EncryptionSchema = z
  .strictObject({
    algorithm: z.enum(["AES256", "aws:kms"]),
    /** ARN of the key; without it the server has one. */
    kmsKey: z.optional(z.string()),
  })
  .check(z.refine(({ algorithm, kmsKey }) => kmsKey === undefined || algorithm === "aws:kms"));

export const StorageChoicesSchema = z.strictObject({
  /** Of new packs. */
  storageClass: z.optional(z.enum(STORAGE_CLASSES)),
  /** How the server encrypts new objects. */
  encryption: z.optional(EncryptionSchema),
  /** Of all threads together, in both directions. */
  bytesPerSecond: z.optional(z.int().check(z.positive())),
  /** How long no byte may pass before a request is tried again. */
  timeoutMs: z.optional(z.int().check(z.positive())),
});

/**
 * How a repository in S3 is to be written, as distinct from where it is and how one machine reaches it: this holds for whoever
 * does the writing, so it travels with a job. What is left out is left to the writer.
 */
export type StorageChoices = z.infer<typeof StorageChoicesSchema>;

/** The same repository, written as the choices say; a local directory has nothing to choose. */
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
