import { asBlockferryError, BlockferryError, type ErrorRecord } from "../foundation/blockferry-error.js";
import { journalKey, listJob, listJobs } from "../repository/jobs/job-key.js";
import { readSealed } from "../repository/read-sealed.js";
import { undefinedIfAbsent } from "../repository/storage/if-absent.js";
import type { Storage } from "../repository/storage/storage.js";
import { JOB_TAG } from "./aws/tags.js";
import { type JournalRecord, JournalSchema } from "./journal-record.js";

/** Term of the journal that counts; 1 when there is none. */
export async function lastTerm(storage: Storage, job: string): Promise<number> {
  return (await listJob(storage, job))?.terms.at(-1) ?? 1;
}

/** @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported */
export function readTerm(storage: Storage, job: string, term: number): Promise<JournalRecord> {
  const key = journalKey(job, term);
  return readSealed(storage, key, JournalSchema);
}

/** @returns undefined when no run has made a journal for the job @throws ObjectCorrupt, RepositoryUnsupported */
export function readJournal(storage: Storage, job: string): Promise<JournalRecord | undefined> {
  return undefinedIfAbsent(async () => readTerm(storage, job, await lastTerm(storage, job)));
}

/** All journals of a repository, oldest first; one that cannot be read is a problem, and does not hide the others. */
export async function readJournals(
  storage: Storage,
): Promise<{ records: JournalRecord[]; problems: ErrorRecord[] }> {
  const records: JournalRecord[] = [];
  const problems: ErrorRecord[] = [];
  for (const { id, terms } of await listJobs(storage)) {
    const term = terms.at(-1);
    if (term === undefined) continue;
    try {
      const record = await undefinedIfAbsent(() => readTerm(storage, id, term));
      if (record !== undefined) records.push(record);
    } catch (error) {
      problems.push(unreadable(id, asBlockferryError(error)).toRecord());
    }
  }
  return { records, problems };
}

function unreadable(id: string, error: BlockferryError): BlockferryError {
  return new BlockferryError(
    {
      ...error.toRecord(),
      message: `What ${id} has left is unknown: ${error.message}`,
      remedy:
        `Look in both accounts for snapshots, volumes and instances with the tag ${JOB_TAG}=${id}, remove them, ` +
        `and then delete jobs/${id}/.`,
    },
    error,
  );
}
