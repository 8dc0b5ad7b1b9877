import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { EbsVolumeSchema, InstanceSchema, tagsSchema } from "../instance.js";
import { parseBody, parseJson, sealJson, unsealText } from "../sealed-json.js";
import { againIfDamaged } from "../storage/again-if-damaged.js";
import { LockRecordSchema } from "../storage/object-lock.js";
import type { Storage } from "../storage/storage.js";
import { StorageChoicesSchema } from "../storage/storage-choices.js";
import { jobKey } from "./job-key.js";
import { JobSignatureSchema, type JobSigner, jobMessage, UNSIGNED } from "./job-signature.js";

/** Where a volume is attached to the worker. */
const attachedVolume = {
  volumeId: z.string().check(z.regex(/^vol-[0-9a-f]+$/)),
  sizeBytes: z.int().check(z.positive()),
  /** The device name that it was attached with, as `/dev/sdf`: never that of a root volume, which is the worker's own. */
  attachName: z.string().check(z.regex(/^\/dev\/(sd|xvd)[b-z][a-z]?[0-9]{0,2}$/)),
};

const BackedUpVolumeSchema = z.strictObject({
  /** Unique within the job; the volume's name in the recovery point. */
  name: z.string().check(z.regex(/^[^/=\s]+$/)),
  ...attachedVolume,
  /** The volume that it is a copy of. */
  origin: EbsVolumeSchema,
});

const RestoredVolumeSchema = z.strictObject({
  /** Which volume of the recovery point is written to it. */
  name: z.string().check(z.minLength(1)),
  ...attachedVolume,
});

const common = {
  version: z.literal(1),
  id: z.string(),
  repository: z.uuid(),
  createdAt: z.iso.datetime(),
  /** The agent does not begin it after this. */
  expiresAt: z.iso.datetime(),
  /** Instance id of the one machine that may run it. */
  worker: z.string().check(z.regex(/^i-[0-9a-f]+$/)),
};

/** The last field of all, as it is over the text of those before it. Left out of a job that is not signed. */
const signature = z.optional(JobSignatureSchema);

const DISTINCT = "two volumes have one name, id or attach name";

const BackupJobSchema = z.strictObject({
  ...common,
  kind: z.literal("backup"),
  volumes: z.array(BackedUpVolumeSchema).check(z.minLength(1), z.refine(areDistinct, DISTINCT)),
  instance: InstanceSchema,
  options: z.strictObject({
    compression: z.enum(["lz4", "none"]),
    /** `auto` where the agent is to measure first; null for the agent's default. */
    threads: z.nullable(z.union([z.literal("auto"), z.int().check(z.positive())])),
    /** Reads in flight for each thread; null for the agent's default. */
    queueDepth: z.nullable(z.int().check(z.positive())),
    badBlocks: z.enum(["fail", "skip"]),
    /** What the point needs is locked; left out where nothing is. An agent that does not know it refuses the job. */
    lock: z.optional(LockRecordSchema),
    /** Left out where nothing was chosen. An agent that does not know it refuses the job, rather than write otherwise. */
    storage: z.optional(StorageChoicesSchema),
    /** The controller wants the figures of a report; left out where it does not. An agent that does not know it refuses the job. */
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
/** What an agent is to do. It names volumes and tags; it never holds a credential or a key's material. */
export type Job = BackupJob | RestoreJob;

/** `job-20261123T112150Z-3f9a1c2b`: sorts by time, and is unique for jobs of the same second. */
export function newJobId(createdAt: Date): string {
  const seconds = createdAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  return `job-${seconds}Z-${randomBytes(4).toString("hex")}`;
}

/** @throws ObjectExists; what the signer throws */
export async function writeJob(
  storage: Storage,
  job: Job,
  signer: JobSigner = UNSIGNED,
  signal?: AbortSignal,
): Promise<void> {
  const body = JobSchema.parse(job);
  const signature = await signer.sign(jobMessage(body, JSON.stringify(body)), signal);
  const signed = signature === undefined ? body : { ...body, signature };
  await storage.put(jobKey(job.id, "job"), sealJson(signed), { ifNoneMatch: "*" });
}

/**
 * A job as it stands in the repository: its signature, if it has one, is over this text, and nothing of it is to be believed before.
 * @throws ObjectNotFound, ObjectCorrupt
 */
export function readJobText(storage: Storage, id: string): Promise<string> {
  const key = jobKey(id, "job");
  return againIfDamaged(async () => unsealText(await storage.get(key), key));
}

/** @throws ObjectCorrupt when it bears another's name; RepositoryUnsupported */
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

/** The body as far as it concerns a worker who cannot read the rest. */
const ForWhomSchema = z.object({ body: z.object({ worker: z.string() }) });

/**
 * The worker that a job names, even where the job is of a later version or damaged: whoever is named can say so.
 * @returns undefined when it cannot be told
 * @throws ObjectNotFound
 */
export async function readJobWorker(storage: Storage, id: string): Promise<string | undefined> {
  const key = jobKey(id, "job");
  try {
    const text = (await storage.get(key)).toString("utf8");
    return ForWhomSchema.parse(parseJson(text, key)).body.worker;
  } catch (error) {
    // One that does not decrypt is as unreadable as one that does not parse.
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
