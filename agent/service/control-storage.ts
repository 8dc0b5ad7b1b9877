import { BlockferryError, type ErrorCode, NOT_CONNECTED } from "../../foundation/errors.js";
import type { Job } from "../../repository/jobs/job.js";
import { type Repository, reopened } from "../../repository/open/repository.js";
import { openStorage } from "../../repository/storage/open-storage.js";
import type { Storage, StorageLocation } from "../../repository/storage/storage.js";
import { withChoices } from "../../repository/storage/storage-choices.js";

/** Longer than a request may be late, and far shorter than a controller waits for a heartbeat. */
const CONTROL_OUTAGE_MS = 10_000;

/**
 * Opens the storage for the objects of jobs.
 * Heartbeats are few and small, and must not queue behind the packs of a backup. The service waits out an
 * outage itself, and logs it.
 */
export async function openControl(location: StorageLocation, signal: AbortSignal): Promise<Storage> {
  return (await openStorage(controlLocation(location))).until(signal);
}

function controlLocation(location: StorageLocation): StorageLocation {
  if (location.kind !== "s3") return location;
  const outageMs = Math.min(location.outageMs, CONTROL_OUTAGE_MS);
  return { ...location, bandwidthLimit: undefined, outageMs };
}

/** The storage that a job writes to: its backup, and its heartbeats and result. */
export interface JobStorage {
  repository: Repository;
  control: Storage;
  /** Closes the connections that only this job used. */
  close(): void;
}

/**
 * Returns the storage of the service with the write options of the job.
 * Heartbeats and result are encrypted like the rest, since a bucket may refuse anything else; the job's
 * bandwidth limit does not apply to them.
 * @throws JobRefused
 */
export async function storageFor(
  { id, options: { storage: choices } }: Job,
  own: Omit<JobStorage, "close">,
  signal: AbortSignal,
): Promise<JobStorage> {
  if (choices === undefined) return { ...own, close: () => undefined };
  if (own.repository.location.kind !== "s3") throw notInS3(id, own.repository.storage.name);
  const location = withChoices(own.repository.location, choices);
  const repository = await reopened(own.repository, location);
  const control = await openControl(location, signal);
  const close = () => {
    repository.storage.close();
    control.close();
  };
  return { repository, control, close };
}

function notInS3(id: string, name: string): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} has options for objects in S3, but this agent has the repository in ${name}.`,
    remedy:
      "Start the backup without --sse, --storage-class and similar options, or start the agent with --repo s3://...",
    object: id,
  });
}

/**
 * Errors that can end without any change on this machine: outages, missing rights and credentials.
 * A new role gets its rights only after a while, including the right to use the repository's KMS key.
 */
const RECOVERING: ReadonlySet<ErrorCode> = new Set([
  "StorageUnavailable",
  "StorageFailed",
  "StorageFull",
  "StorageDenied",
  "CredentialsInvalid",
  "AwsUnavailable",
  "KeyNotUsable",
  ...NOT_CONNECTED,
]);

const BASE_DELAY_MS = 1000;
const MAX_DELAY_MS = 60_000;

export function mayRecover(error: unknown): error is BlockferryError {
  return error instanceof BlockferryError && RECOVERING.has(error.code);
}

/**
 * Returns the wait after a number of failures in a row: exponential, with jitter so that workers do not retry
 * in step.
 */
export function backoffMs(failures: number): number {
  const ceilingMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (failures - 1));
  return ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
}
