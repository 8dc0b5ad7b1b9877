import { DescribeKeyCommand, GenerateMacCommand, type KMSClient } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/errors.js";
import type { KmsCaller } from "../../repository/encryption/kms.js";
import { MAC_ALGORITHM, type MacKey } from "../../repository/encryption/mac-key.js";
import type { JobSigning } from "../../repository/jobs/job.js";
import {
  type Authorship,
  DocumentKey,
  journalAuthorship,
  Replies,
} from "../../repository/jobs/signed-document.js";
import { type Expectation, expectationOf, formatExpectation } from "../../repository/open/expectation.js";
import type { Repository } from "../../repository/open/repository.js";
import { awsError } from "../aws/aws-errors.js";
import { Clients } from "../aws/clients.js";
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

type RepositoryPlace = Pick<Expectation, "repository" | "encryption">;

/**
 * Signs and verifies the documents below `jobs/` of an open repository.
 * Every job has keys of its own, which are requested from KMS once.
 */
export class Signing {
  private readonly journalKeys = new Map<string, Promise<DocumentKey>>();
  private readonly replyKeys = new Map<string, Promise<DocumentKey>>();

  constructor(
    /** Id and encryption of the repository. */
    readonly place: RepositoryPlace,
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

/** AWS: "HMAC keys in AWS KMS"; each spec has one algorithm. */
const KEY_SPEC = "HMAC_256";
/** No signed document starts with this text. */
const PROBE = Buffer.from("blockferry check\n", "utf8");

/** A KMS key that the controller uses with its own credentials, not with the roles of the parties. */
class SigningKey implements MacKey {
  private readonly region: string;
  private readonly principal: string;
  private readonly clients: Clients;

  /** @param caller profile of the credentials, and the signal that aborts the check */
  constructor(
    readonly arn: string,
    private readonly caller: KmsCaller,
  ) {
    const { profile } = caller;
    this.region = arn.split(":")[3] ?? "";
    this.principal = profile === undefined ? "the credentials of the environment" : `profile ${profile}`;
    const access = { profile: profile ?? null, roleArn: null, externalId: null, region: this.region };
    this.clients = new Clients(access);
  }

  /**
   * Returns the MAC of a message.
   * @throws the errors of aws-errors.ts
   */
  async mac(message: Buffer, signal?: AbortSignal): Promise<Buffer> {
    const request = { KeyId: this.arn, Message: message, MacAlgorithm: MAC_ALGORITHM } as const;
    const { Mac } = await this.ask(
      "kms:GenerateMac",
      (kms, options) => kms.send(new GenerateMacCommand(request), options),
      signal,
    );
    if (Mac === undefined) throw new Error("KMS returned no MAC");
    return Buffer.from(Mac);
  }

  /**
   * Checks that the key exists, can sign and has the right usage.
   * @throws KeyNotUsable; the errors of aws-errors.ts
   */
  async check(): Promise<void> {
    const { signal } = this.caller;
    const { KeyMetadata: { KeyUsage, KeySpec, KeyState } = {} } = await this.ask(
      "kms:DescribeKey",
      (kms, options) => kms.send(new DescribeKeyCommand({ KeyId: this.arn }), options),
      signal,
    );
    if (KeyUsage !== "GENERATE_VERIFY_MAC" || KeySpec !== KEY_SPEC) {
      throw wrongKind(this.arn, `${KeySpec}, for ${KeyUsage}`);
    }
    if (KeyState !== "Enabled") throw notEnabled(this.arn, KeyState);
    await this.mac(PROBE, signal);
  }

  private async ask<T>(
    action: string,
    send: (kms: KMSClient, options: { abortSignal?: AbortSignal }) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const options = signal === undefined ? {} : { abortSignal: signal };
    const call = () => send(this.clients.kms(this.region), options);
    try {
      return await this.clients.patience.keepTrying(`kms.${this.region}`, call, signal);
    } catch (error) {
      throw awsError({ action, principal: this.principal, object: this.arn }, error);
    }
  }
}

/**
 * Returns the signing of the controller for an open repository.
 * @param caller the credentials that reach the repository
 */
export function openSigning(
  { config }: Pick<Repository, "config">,
  { jobKey, replyKey }: SigningKeys,
  caller: KmsCaller,
): Signing {
  const key = (arn: string | undefined) => (arn === undefined ? undefined : new SigningKey(arn, caller));
  return new Signing(expectationOf(config), key(jobKey), key(replyKey));
}

function wrongKind(arn: string, kind: string): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Nothing can be signed with ${arn}: it is ${kind}.`,
    remedy: `Make a key for signing: aws kms create-key --key-usage GENERATE_VERIFY_MAC --key-spec ${KEY_SPEC}`,
    object: arn,
  });
}

function notEnabled(arn: string, state: string | undefined): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Nothing can be signed with ${arn}: it is ${state}.`,
    remedy: "Enable it (aws kms enable-key), or cancel its deletion first; or name another key.",
    object: arn,
  });
}
