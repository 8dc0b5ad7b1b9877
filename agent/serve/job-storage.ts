import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Job } from "../../repository/jobs/job.js";
import { type Repository, reopened } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { withChoices } from "../../repository/storage/storage-choices.js";
import { openControl } from "./control-storage.js";

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
    message: `${id} says how objects in S3 are to be written, and this agent has the repository in ${name}.`,
    remedy: "Start the backup without --sse, --storage-class and the like, or the agent with --repo s3://...",
    object: id,
  });
}
