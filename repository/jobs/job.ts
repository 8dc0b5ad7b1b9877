import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { KMS_KEY_ARN } from "../encryption/kms.js";
import { type MacKey, SignatureSchema, signatureBy, signedMessage } from "../encryption/mac-key.js";
import { EbsVolumeSchema, InstanceSchema, LockRecordSchema, tagsSchema } from "../format/recovery-point.js";
import { parseBody, parseJson, sealJson } from "../format/sealed-json.js";
import { readSealedText } from "../storage/read-document.js";
import type { Storage } from "../storage/storage.js";
import { StorageChoicesSchema } from "../storage/storage-choices.js";
import { jobKey } from "./job-key.js";

/** A volume's attachment to the worker. */
const attachedVolume = {
  volumeId: z.string().check(z.regex(/^vol-[0-9a-f]+$/)),
  sizeBytes: z.int().check(z.positive()),
  /**
   * The device name of the attachment, for example `/dev/sdf`. Never the name of a root volume, which belongs
   * to the worker.
   */
  attachName: z.string().check(z.regex(/^\/dev\/(sd|xvd)[b-z][a-z]?[0-9]{0,2}$/)),
};

const BackedUpVolumeSchema = z.strictObject({
  /** Unique within the job; the volume's name in the recovery point. */
  name: z.string().check(z.regex(/^[^/=\s]+$/)),
  ...attachedVolume,
  /** The original volume that this one is a copy of. */
  origin: EbsVolumeSchema,
});

const RestoredVolumeSchema = z.strictObject({
  /** Name of the volume in the recovery point that is written to it. */
  name: z.string().check(z.minLength(1)),
  ...attachedVolume,
});

const common = {
  version: z.literal(1),
  id: z.string(),
  repository: z.uuid(),
  createdAt: z.iso.datetime(),
  /** The agent does not start the job after this time. */
  expiresAt: z.iso.datetime(),
  /** Instance id of the only machine that may run the job. */
  worker: z.string().check(z.regex(/^i-[0-9a-f]+$/)),
  /**
   * ARN of the key that signs status, result and figures; left out without signatures. An agent that does not
   * know the field, or does not have the key, refuses the job.
   */
  replyKey: z.optional(z.string().check(z.regex(KMS_KEY_ARN))),
};

/** Left out of an unsigned job. */
const signature = z.optional(SignatureSchema);

const DISTINCT = "two volumes have the same name, id or attach name";

const BackupJobSchema = z.strictObject({
  ...common,
  kind: z.literal("backup"),
  volumes: z.array(BackedUpVolumeSchema).check(z.minLength(1), z.refine(areDistinct, DISTINCT)),
  instance: InstanceSchema,
  options: z.strictObject({
    compression: z.enum(["lz4", "none"]),
    /** `auto` if the agent should measure first; null for the agent's default. */
    threads: z.nullable(z.union([z.literal("auto"), z.int().check(z.positive())])),
    /** Reads in flight for each thread; null for the agent's default. */
    queueDepth: z.nullable(z.int().check(z.positive())),
    badBlocks: z.enum(["fail", "skip"]),
    /**
     * Lock for everything that the point needs; left out without a lock. An agent that does not know it
     * refuses the job.
     */
    lock: z.optional(LockRecordSchema),
    /**
     * Left out without choices. An agent that does not know it refuses the job, instead of storing data in
     * another way.
     */
    storage: z.optional(StorageChoicesSchema),
    /** The known chunks to prove; left out if none. An agent that does not know it refuses the job. */
    proveKnown: z.optional(z.union([z.literal("new-packs"), z.number().check(z.positive(), z.maximum(100))])),
    /**
     * Set when the controller needs the figures for a report. An agent that does not know it refuses the job.
     */
    report: z.optional(z.literal(true)),
  }),
  tags: tagsSchema,
  signature,
});

const RestoreJobSchema = z.strictObject({
  ...common,
  kind: z.literal("restore"),
  /** Id of the recovery point. */
  point: z.string(),
  volumes: z.array(RestoredVolumeSchema).check(z.minLength(1), z.refine(areDistinct, DISTINCT)),
  options: z.strictObject({
    /** Null for the agent's default. */
    threads: z.nullable(z.int().check(z.positive())),
    /** As for a backup. */
    storage: z.optional(StorageChoicesSchema),
  }),
  signature,
});

const JobSchema = z.discriminatedUnion("kind", [BackupJobSchema, RestoreJobSchema]);

export type BackupJob = z.infer<typeof BackupJobSchema>;
export type RestoreJob = z.infer<typeof RestoreJobSchema>;
/** The task of an agent. It names volumes and tags, and never contains credentials or key material. */
export type Job = BackupJob | RestoreJob;

/**
 * Returns an id such as `job-20261123T112150Z-3f9a1c2b`: it sorts by time,
 * and is unique for jobs of the same second.
 */
export function newJobId(createdAt: Date): string {
  const seconds = createdAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  return `job-${seconds}Z-${randomBytes(4).toString("hex")}`;
}

/** The key that signs a job, and the repository's encryption as the controller found it. */
export interface JobSigning extends Pick<JobPlace, "encryption"> {
  key: MacKey;
}

/** Writes a job. @param signing undefined for an unsigned job @throws ObjectExists; the errors of the key */
export async function writeJob(
  storage: Storage,
  job: Job,
  signing?: JobSigning,
  signal?: AbortSignal,
): Promise<void> {
  const body = JobSchema.parse(job);
  const signed =
    signing === undefined ? body : { ...body, signature: await signatureFor(body, signing, signal) };
  await storage.put(jobKey(job.id, "job"), sealJson(signed), { ifNoneMatch: "*" });
}

function signatureFor(body: Job, { key, encryption }: JobSigning, signal?: AbortSignal) {
  return signatureBy(key, jobMessage({ ...body, encryption }, JSON.stringify(body)), signal);
}

/**
 * Reads the text of a job. Its signature, if any, covers this text; nothing in it may be trusted before the
 * signature is checked.
 * @throws ObjectNotFound, ObjectCorrupt
 */
export function readJobText(storage: Storage, id: string): Promise<string> {
  return readSealedText(storage, jobKey(id, "job"));
}

/** Parses a job. @throws ObjectCorrupt when it is another job than its name says; RepositoryUnsupported */
export function parseJob(id: string, text: string): Job {
  const key = jobKey(id, "job");
  const job = parseBody(text, JobSchema, key);
  if (job.id === id) return job;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} holds job ${job.id}: it was renamed or copied.`,
    remedy: "Nothing was done. Start a new job instead of copying one.",
    object: key,
    offset: 0,
  });
}

/** The part of the body that a worker needs even if it cannot read the rest. */
const ForWhomSchema = z.object({ body: z.object({ worker: z.string() }) });

/**
 * Returns the worker of a job, even of an unreadable job. So this worker can report a damaged job, or one of
 * a later version.
 * @returns undefined when the worker cannot be read
 * @throws ObjectNotFound
 */
export async function readJobWorker(storage: Storage, id: string): Promise<string | undefined> {
  const key = jobKey(id, "job");
  try {
    const text = (await storage.get(key)).toString("utf8");
    return ForWhomSchema.parse(parseJson(text, key)).body.worker;
  } catch (error) {
    // A job that does not decrypt is as unreadable as one that does not parse.
    if (error instanceof BlockferryError && !UNREADABLE.has(error.code)) throw error;
    return undefined;
  }
}

const UNREADABLE = new Set<BlockferryError["code"]>(["ObjectCorrupt", "RepositoryUnsupported"]);

function areDistinct(volumes: { name: string; volumeId: string; attachName: string }[]): boolean {
  return (["name", "volumeId", "attachName"] as const).every(
    (field) => new Set(volumes.map((volume) => volume[field])).size === volumes.length,
  );
}

/** The place of a job. */
export interface JobPlace {
  /** UUID of the repository. */
  repository: string;
  /** The encryption of the repository: `none`, or the key check in its config.json. */
  encryption: string;
  id: string;
  /** Instance id. */
  worker: string;
}

/**
 * Returns the message for the signature: the job and its place. The verifier takes the place from its own
 * view, not from the job: the repository that it has opened, with the encryption that it found.
 * @param text of the body, without the signature
 */
export function jobMessage({ repository, encryption, id, worker }: JobPlace, text: string): Buffer {
  const place = `repository ${repository}\nencryption ${encryption}\njob ${id}\nworker ${worker}\n`;
  return signedMessage(`blockferry job 2\n${place}`, text);
}

/**
 * Returns the message that controllers signed before they included the encryption of the repository. No agent
 * accepts it; it only serves to distinguish such a job from a forgery.
 */
export function oldJobMessage({ repository, id, worker }: JobPlace, text: string): Buffer {
  const place = `repository ${repository}\njob ${id}\nworker ${worker}\n`;
  return signedMessage(`blockferry job 1\n${place}`, text);
}
