import { resolve } from "node:path";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import type { RepositoryKey } from "../encryption/aes-gcm.js";
import { AesGcmCipher } from "../encryption/aes-gcm-cipher.js";
import { EncryptedStorage } from "../encryption/encrypted-storage.js";
import { BandwidthLimit } from "./bandwidth-limit.js";
import { LocalDirectory } from "./local/local-directory.js";
import { parseS3Location, type S3Location, type S3Options, STORAGE_CLASSES } from "./s3/s3-location.js";
import type { Storage, StorageLocation } from "./storage.js";

/** Parses `--repo` and the S3 options. @throws Usage */
export function parseStorageLocation(repo: string, s3Options: S3Options = {}): StorageLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(repo)?.[1]?.toLowerCase();
  if (scheme === "s3") return parseS3Location(repo, s3Options);
  if (scheme !== undefined) throw unknownScheme(repo, scheme);
  return { kind: "directory", path: resolve(repo) };
}

/** Opens a storage. With the key of an encrypted repository, it encrypts all objects. */
export async function openStorage(location: StorageLocation): Promise<Storage> {
  const storage = await openPlace(location);
  return location.key === undefined ? storage : withKey(storage, location.key);
}

/** Returns the storage of an encrypted repository. */
export function withKey(storage: Storage, key: RepositoryKey): Storage {
  return new EncryptedStorage(storage, new AesGcmCipher(key));
}

async function openPlace(location: StorageLocation): Promise<Storage> {
  if (location.kind === "directory") return new LocalDirectory(location.path);
  const { S3Storage } = await loadS3();
  return S3Storage.open(location);
}

/** Starts to load the code of a storage that is about to be opened. `openStorage` reports any error. */
export function preloadStorage(kind: StorageLocation["kind"]): void {
  if (kind === "s3") loadS3().catch(() => undefined);
}

/** Loads the S3 client on first use: that takes longer than a small backup. */
function loadS3() {
  return import("./s3/s3-storage.js");
}

function unknownScheme(repo: string, scheme: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `${repo} is not a repository: there are no ${scheme}:// repositories.`,
    remedy: "Give s3://BUCKET/PREFIX or a local directory; write ./ before one whose name looks like a URL.",
    object: repo,
  });
}

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
