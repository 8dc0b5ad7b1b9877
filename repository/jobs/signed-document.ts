import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import {
  type MacKey,
  type Signature,
  signatureIn,
  signedMessage,
  withoutSignature,
} from "../encryption/mac-key.js";
import { parseBody, parseJson, sealJson } from "../format/sealed-json.js";
import { readSealedText } from "../storage/read-document.js";
import type { Storage } from "../storage/storage.js";

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
type ReplyKind = "status" | "result" | "figures";

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
    message: `${object} is not used: it is signed, and no ${option} is given to verify the signature. It claims to be signed with ${keyArn}.`,
    remedy: `If that key is yours, give ${option} ${keyArn}. If not, find out who writes to jobs/ in the repository.`,
    object,
  });
}

function unsigned(object: string, arn: string, option: string): BlockferryError {
  return new BlockferryError({
    code: "JobUnsigned",
    message: `${object} is not used: it is not signed, and with ${option} it must be signed with ${arn}.`,
    remedy: `If its job was started without ${option}, leave the option out. If not, find out who writes to jobs/ in the repository.`,
    object,
  });
}

function invalid(object: string, { keyArn }: Signature, arn: string, option: string): BlockferryError {
  return new BlockferryError({
    code: "JobSignatureInvalid",
    message: `${object} is not used: its signature was not made with ${arn} for this place and content. It claims to be signed with ${keyArn}.`,
    remedy: `Give the ${option} that the job was started with. If it is the same one, the object was changed or copied: find out who writes to jobs/ in the repository.`,
    object,
  });
}

/**
 * Signs the documents of one job. KMS derives the secret from a fixed message. This takes one KMS call for a
 * job, instead of one for each document. The secret stays in memory.
 */
export class DocumentKey {
  private constructor(
    /** ARN of the KMS key behind the secret. */
    readonly arn: string,
    private readonly secret: KeyObject,
  ) {}

  /** Returns the key for the journals of a job, derived from the job key. @throws the errors of `key` */
  static forJournals(
    key: MacKey,
    { repository, id }: { repository: string; id: string },
    signal?: AbortSignal,
  ): Promise<DocumentKey> {
    return DocumentKey.derive(key, `blockferry journal key 1\nrepository ${repository}\njob ${id}\n`, signal);
  }

  /**
   * Returns the key for the replies of a worker's agent. It is derived from the reply key.
   * @throws the errors of `key`
   */
  static forReplies(
    key: MacKey,
    { repository, id, worker }: { repository: string; id: string; worker: string },
    signal?: AbortSignal,
  ): Promise<DocumentKey> {
    const place = `repository ${repository}\njob ${id}\nworker ${worker}\n`;
    return DocumentKey.derive(key, `blockferry reply key 1\n${place}`, signal);
  }

  private static async derive(key: MacKey, message: string, signal?: AbortSignal): Promise<DocumentKey> {
    const bytes = await key.mac(Buffer.from(message, "utf8"), signal);
    const secret = createSecretKey(bytes);
    bytes.fill(0);
    return new DocumentKey(key.arn, secret);
  }

  sign(message: Buffer): Signature {
    return { keyArn: this.arn, mac: this.macOf(message).toString("base64") };
  }

  /** Returns whether this key made the signature. The key that the signature names does not matter. */
  hasSigned(message: Buffer, { mac }: Signature): boolean {
    const given = Buffer.from(mac, "base64");
    const expected = this.macOf(message);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  private macOf(message: Buffer): Buffer {
    return createHmac("sha256", this.secret).update(message).digest();
  }
}
