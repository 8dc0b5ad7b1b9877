import { BlockferryError } from "../../foundation/blockferry-error.js";
import { shellWord } from "../../foundation/shell-word.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JournalRecord } from "../journal-record.js";
import { readClaimedJournal, readJournal } from "../read-journals.js";
import type { Signing } from "../signing.js";

/**
 * Reads and verifies the journal of a job.
 * @throws JobNotFound; the errors of `readTerm`
 */
export async function findJournal(storage: Storage, job: string, signing: Signing): Promise<JournalRecord> {
  return found(await readJournal(storage, job, signing), storage, job);
}

/**
 * Reads the journal of a job without verifying it.
 * @throws JobNotFound; ObjectCorrupt, RepositoryUnsupported
 */
export async function findClaimedJournal(storage: Storage, job: string): Promise<JournalRecord> {
  return found(await readClaimedJournal(storage, job), storage, job);
}

function found(record: JournalRecord | undefined, storage: Storage, job: string): JournalRecord {
  if (record !== undefined) return record;
  throw new BlockferryError({
    code: "JobNotFound",
    message: `There is no job ${job} in ${storage.name}.`,
    remedy: `See the jobs with: blockferry status --repo ${shellWord(storage.name)}`,
    object: job,
  });
}
