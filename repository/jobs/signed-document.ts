import type * as z from "zod/mini";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { readSealedText } from "../read-sealed.js";
import { parseBody, parseJson, sealJson } from "../sealed-json.js";
import { type Signature, signatureIn, signedMessage, withoutSignature } from "../signature.js";
import type { Storage } from "../storage/storage.js";
import type { DocumentKey } from "./document-key.js";

/** The required author of a document of a job, and the document's place. */
export interface Authorship {
  /** Undefined when the documents are not signed. */
  key: DocumentKey | undefined;
  /** The first lines of the signed message: kind and version, then the place, each with a newline. */
  head: string;
  /** The option that names the key on a command line. */
  option: "--job-key" | "--reply-key";
}

/** Returns the authorship of a job's journals. @param key undefined when they are not signed */
export function journalAuthorship(
  key: DocumentKey | undefined,
  { repository, id, term }: { repository: string; id: string; term: number },
): Authorship {
  const head = `blockferry journal 1\nrepository ${repository}\njob ${id}\nterm ${term}\n`;
  return { key, head, option: "--job-key" };
}

/** Documents that an agent writes about a job. */
export type ReplyKind = "status" | "result" | "figures";

/** The place of an agent's replies, and the key that signs them. */
export class Replies {
  constructor(
    /** Undefined when replies are not signed. */
    readonly key: DocumentKey | undefined,
    private readonly place: { repository: string; id: string; worker: string },
  ) {}

  as(kind: ReplyKind): Authorship {
    const { repository, id, worker } = this.place;
    const head = `blockferry ${kind} 1\nrepository ${repository}\njob ${id}\nworker ${worker}\n`;
    return { key: this.key, head, option: "--reply-key" };
  }
}

/** For jobs without signed replies. */
export const UNSIGNED_REPLIES = new Replies(undefined, { repository: "", id: "", worker: "" });

/**
 * Seals a document, whose last field is the signature of the text before it.
 * Without a key it has no signature.
 */
export function sealSigned(body: object, { key, head }: Authorship): Buffer {
  if (key === undefined) return sealJson(body);
  return sealJson({ ...body, signature: key.sign(signedMessage(head, JSON.stringify(body))) });
}

/**
 * Reads a document of `sealSigned`, and reads it again if it arrives damaged. Nothing in it is trusted before
 * it is proven. Without a key, a signed document is refused too: its writer relies on a check that would not
 * take place.
 * @throws JobUnsigned, JobSignatureInvalid, JobRefused; ObjectNotFound, ObjectCorrupt, RepositoryUnsupported
 */
export async function readSigned<T>(
  storage: Storage,
  key: string,
  schema: z.ZodMiniType<T>,
  authorship: Authorship,
): Promise<T> {
  const text = await readSealedText(storage, key);
  const signature = signatureIn(parseJson(text, key));
  prove(withoutSignature(text), signature, key, authorship);
  return parseBody(signature === undefined ? text : withoutSignature(text), schema, key);
}

/**
 * Reads the document without proving it: anyone who can write to the repository may have written it.
 * @throws the errors of `readSigned`
 */
export async function readClaimed<T>(storage: Storage, key: string, schema: z.ZodMiniType<T>): Promise<T> {
  return parseBody(withoutSignature(await readSealedText(storage, key)), schema, key);
}

/**
 * Refuses a document that belongs to another job than its name says. Without a signature, only this check
 * finds that.
 * @throws ObjectCorrupt
 */
export function refuseCopy(key: string, id: string, job: string): void {
  if (job === id) return;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is about ${job}: it was renamed or copied.`,
    remedy: "Find out who else writes to jobs/ in the repository.",
    object: key,
    offset: 0,
  });
}

function prove(
  text: string,
  signature: Signature | undefined,
  object: string,
  { key, head, option }: Authorship,
): void {
  if (key === undefined) {
    if (signature !== undefined) throw keyNotGiven(object, signature, option);
    return;
  }
  if (signature === undefined) throw unsigned(object, key.arn, option);
  if (!key.hasSigned(signedMessage(head, text), signature)) throw invalid(object, signature, key.arn, option);
}

function keyNotGiven(object: string, { keyArn }: Signature, option: string): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${object} is not used: it is signed, and no ${option} is given to verify that with. It says that it was signed with ${keyArn}.`,
    remedy: `If that key is yours, give ${option} ${keyArn}. If not, find out who writes to jobs/ in the repository.`,
    object,
  });
}

function unsigned(object: string, arn: string, option: string): BlockferryError {
  return new BlockferryError({
    code: "JobUnsigned",
    message: `${object} is not used: it is not signed, and with ${option} only what is signed with ${arn} counts.`,
    remedy: `If its job was started without ${option}, leave the option out. If not, find out who writes to jobs/ in the repository.`,
    object,
  });
}

function invalid(object: string, { keyArn }: Signature, arn: string, option: string): BlockferryError {
  return new BlockferryError({
    code: "JobSignatureInvalid",
    message: `${object} is not used: its signature is not one of ${arn} for this place and content. It says that it was signed with ${keyArn}.`,
    remedy: `Give the ${option} that the job was started with. If that is this one, the object was changed or copied: find out who writes to jobs/ in the repository.`,
    object,
  });
}
