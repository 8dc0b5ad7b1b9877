import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JournalRecord } from "../journal-record.js";
import { readJournal } from "../read-journals.js";

/** @throws JobNotFound */
export async function findJournal(storage: Storage, job: string): Promise<JournalRecord> {
  const record = await readJournal(storage, job);
  if (record !== undefined) return record;
  throw new BlockferryError({
    code: "JobNotFound",
    message: `There is no job ${job} in ${storage.name}.`,
    remedy: `See the jobs with: blockferry status --repo ${storage.name}`,
    object: job,
  });
}
