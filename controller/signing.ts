import type { MacKey } from "../repository/encryption/mac-key.js";
import { type Expectation, formatExpectation } from "../repository/expectation.js";
import { DocumentKey } from "../repository/jobs/document-key.js";
import type { JobSigning } from "../repository/jobs/job.js";
import { type Authorship, journalAuthorship, Replies } from "../repository/jobs/signed-document.js";
import type { JobRequest } from "./request.js";

/** ARNs of the operator's keys: one for jobs and journals, one for the replies of agents. */
export interface SigningKeys {
  jobKey?: string | undefined;
  replyKey?: string | undefined;
}

interface CheckedKey extends MacKey {
  /** Checks that the key exists, can sign and has the right usage. */
  check(): Promise<void>;
}

type Place = Pick<Expectation, "repository" | "encryption">;

/**
 * Signs and verifies the documents below `jobs/` of an open repository.
 * Every job has keys of its own, which are requested from KMS once.
 */
export class Signing {
  private readonly journalKeys = new Map<string, Promise<DocumentKey>>();
  private readonly replyKeys = new Map<string, Promise<DocumentKey>>();

  constructor(
    /** Id and encryption of the repository. */
    readonly place: Place,
    private readonly jobKey?: CheckedKey,
    private readonly replyKey?: CheckedKey,
  ) {}

  /**
   * Checks that both keys can sign and have the right usage.
   * @throws KeyNotUsable; the errors of aws-errors.ts
   */
  async check(): Promise<void> {
    await this.jobKey?.check();
    if (this.replyKey?.arn !== this.jobKey?.arn) await this.replyKey?.check();
  }

  /** The signing key for `writeJob`. */
  get jobs(): JobSigning | undefined {
    const { jobKey: key } = this;
    return key && { key, encryption: this.place.encryption };
  }

  /** ARN of the key that the job names for the agent's replies. */
  get replyKeyArn(): string | undefined {
    return this.replyKey?.arn;
  }

  /**
   * Returns the authorship of a job's journals, by term.
   * @throws the errors of aws-errors.ts
   */
  async journals(job: string, signal?: AbortSignal): Promise<(term: number) => Authorship> {
    const { repository } = this.place;
    const { jobKey } = this;
    const key =
      jobKey &&
      (await once(this.journalKeys, job, () =>
        DocumentKey.forJournals(jobKey, { repository, id: job }, signal),
      ));
    return (term) => journalAuthorship(key, { repository, id: job, term });
  }

  /**
   * Returns the key and place that verify a worker's replies to a job.
   * @throws the errors of aws-errors.ts
   */
  async replies(job: string, worker: string, signal?: AbortSignal): Promise<Replies> {
    const place = { repository: this.place.repository, id: job, worker };
    const { replyKey } = this;
    const key =
      replyKey &&
      (await once(this.replyKeys, `${job} ${worker}`, () => DocumentKey.forReplies(replyKey, place, signal)));
    return new Replies(key, place);
  }

  /** Warnings about documents that stay unsigned, for display. */
  get notes(): string[] {
    if (this.jobKey === undefined || this.replyKey !== undefined || this.place.encryption !== "none")
      return [];
    return [
      "the agent's heartbeats and result are not signed: without --reply-key anyone who may write to the repository can forge them",
    ];
  }
}

/** Returns the repository for a launched worker's user data, pinned to the one that the controller opened. */
export function pinned(repository: JobRequest["repository"], { place }: Signing): JobRequest["repository"] {
  return { ...repository, expect: formatExpectation(place) };
}

/**
 * Returns the known value, or asks for it.
 * A failed request is repeated at the next call.
 */
async function once<T>(known: Map<string, Promise<T>>, name: string, ask: () => Promise<T>): Promise<T> {
  const asked = known.get(name) ?? ask();
  known.set(name, asked);
  try {
    return await asked;
  } catch (error) {
    known.delete(name);
    throw error;
  }
}
