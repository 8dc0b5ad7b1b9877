import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Job } from "../../repository/jobs/job.js";
import type { Repository } from "../../repository/repository.js";
import { openStorage } from "../../repository/storage/open-storage.js";
import type { Storage } from "../../repository/storage/storage.js";
import { withChoices } from "../../repository/storage/storage-choices.js";
import { openControl } from "./control-storage.js";

/** Where a job writes: its backup, and what it tells about it. */
export interface JobStorage {
  repository: Repository;
  control: Storage;
}

/**
 * The storage of the service, written as the job says. Heartbeats and result are encrypted like the rest, since a bucket may
 * refuse all else; they stay outside the job's bandwidth limit.
 * @throws JobRefused
 */
export async function storageFor(
  { id, options: { storage: choices } }: Job,
  own: JobStorage,
  signal: AbortSignal,
): Promise<JobStorage> {
  if (choices === undefined) return own;
  if (own.repository.location.kind !== "s3") throw notInS3(id, own.repository.storage.name);
  const location = withChoices(own.repository.location, choices);
  return {
    repository: { ...own.repository, location, storage: await openStorage(location) },
    control: await openControl(location, signal),
  };
}

function notInS3(id: string, name: string): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} says how objects in S3 are to be written, and this agent has the repository in ${name}.`,
    remedy: "Start the backup without --sse, --storage-class and the like, or the agent with --repo s3://...",
    object: id,
  });
}
