import * as z from "zod/mini";
import { BlockferryError } from "../foundation/errors.js";
import { byteCount, POINT_ID, StatsSchema } from "../repository/format/recovery-point.js";
import { jobKey } from "../repository/jobs/job-key.js";
import { type Replies, readSigned, sealSigned } from "../repository/jobs/signed-document.js";
import { undefinedIfAbsent } from "../repository/storage/read-object.js";
import type { Storage } from "../repository/storage/storage.js";

/** The steps of a backup, in order. */
const STEPS = ["prepare", "index", "holes", "read", "maps", "commit", "compare"] as const;
export type BackupStep = (typeof STEPS)[number];

/**
 * The activities of a backup thread.
 * In `send` a thread hands packs to the storage while it waits for reads.
 */
export const STAGES = ["device", "read", "zeros", "hash", "compress", "send", "storage"] as const;
export type Stage = (typeof STAGES)[number];

/** The outcome of a chunk; every chunk of a volume has exactly one. */
export const OUTCOMES = ["zero", "unchanged", "deduplicated", "new"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The kinds of chunks in a map: the outcomes, and chunks with unreadable blocks. */
export const MAP_KINDS = [...OUTCOMES, "bad"] as const;

/** Maximum number of cells in a map. */
export const MAX_CELLS = 1024;
/** Maximum number of spans in a timeline: enough for a chart, however long the run is. */
export const MAX_SPANS = 400;
const MAX_THREADS = 4096;
/** The maximum number of volumes that EC2 attaches to an instance. */
const MAX_VOLUMES = 128;
const MAX_TAGS = 256;
const MAX_TEXT = 4096;
const MAX_SECONDS = 100 * 365 * 24 * 60 * 60;

const text = z.string().check(z.maxLength(MAX_TEXT));
const pointId = z.string().check(z.regex(POINT_ID));
const count = z.int().check(z.nonnegative());
const seconds = z.number().check(z.nonnegative(), z.maximum(MAX_SECONDS));
const stageSeconds = z.record(z.enum(STAGES), seconds);

const VolumeReportSchema = z
  .strictObject({
    name: text,
    source: text,
    sizeBytes: byteCount,
    unreadableBytes: byteCount,
    /** Id of the recovery point that the volume is compared with. */
    parent: z.nullable(pointId),
    bytes: z.record(z.enum(OUTCOMES), byteCount),
    /** Number of chunks in each cell except the last; a power of two. */
    chunksPerCell: z.int().check(z.positive()),
    /**
     * For each cell, a stretch of the volume: the number of chunks of each kind, in the order of `MAP_KINDS`.
     */
    cells: z
      .array(z.array(count).check(z.length(MAP_KINDS.length), z.refine(isSome, "a cell has no chunks")))
      .check(z.maxLength(MAX_CELLS)),
  })
  .check(z.refine(hasRoom, "a cell has more chunks than fit in one"));

/** A step of a run, in seconds since the run started. */
const StepTimeSchema = z
  .strictObject({ step: z.enum(STEPS), start: seconds, end: seconds })
  .check(z.refine(({ start, end }) => start <= end, "a step ends before it starts"));

/** The work of the threads between two samples. */
const SpanSchema = z.strictObject({
  /** End of the span, in seconds since the threads started. */
  seconds,
  /** Bytes read from the volumes, including holes and zeros. */
  readBytes: byteCount,
  storedBytes: byteCount,
  /** Seconds of all threads together. */
  stages: stageSeconds,
});

/**
 * Figures of a job come from a worker, which is not trusted.
 * The bounds are the most that a page can draw and EC2 can need.
 */
const BackupFiguresSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("backup"),
  /** Id of the recovery point. */
  point: pointId,
  /** A path or URL. */
  repository: text,
  /** The EC2 instance, or the host. */
  machine: text,
  createdAt: z.iso.datetime(),
  tags: z.record(text, text).check(z.refine(areFew, `more than ${MAX_TAGS} tags`)),
  seconds: seconds.check(z.positive()),
  threads: z.int().check(z.positive()),
  queueDepth: z.int().check(z.positive()),
  stats: StatsSchema,
  /** Whether the previous point could be read; if not, unchanged chunks count as deduplicated. */
  compared: z.boolean(),
  volumes: z.array(VolumeReportSchema).check(z.maxLength(MAX_VOLUMES)),
  steps: z.array(StepTimeSchema).check(z.maxLength(STEPS.length)),
  /** The seconds of each thread, by activity. */
  stages: z.array(stageSeconds).check(z.maxLength(MAX_THREADS)),
  timeline: z.array(SpanSchema).check(z.maxLength(MAX_SPANS), z.refine(areInOrder, "spans are not in order")),
});

/** All figures in the report of a backup, which the page contains as JSON; see docs/how-to/reports.md. */
export type BackupFigures = z.infer<typeof BackupFiguresSchema>;
export type VolumeReport = z.infer<typeof VolumeReportSchema>;
export type StepTime = z.infer<typeof StepTimeSchema>;
export type Span = z.infer<typeof SpanSchema>;
export type StageSeconds = z.infer<typeof stageSeconds>;

export function noSeconds(): StageSeconds {
  return { device: 0, read: 0, zeros: 0, hash: 0, compress: 0, send: 0, storage: 0 };
}

export function addSeconds(sum: StageSeconds, more: StageSeconds): StageSeconds {
  for (const stage of STAGES) sum[stage] += more[stage];
  return sum;
}

function areFew(tags: Record<string, string>): boolean {
  return Object.keys(tags).length <= MAX_TAGS;
}

function isSome(counts: number[]): boolean {
  return chunksIn(counts) > 0;
}

function hasRoom({ cells, chunksPerCell }: { cells: number[][]; chunksPerCell: number }): boolean {
  return cells.every((counts) => chunksIn(counts) <= chunksPerCell);
}

function chunksIn(counts: number[]): number {
  return counts.reduce((sum, chunks) => sum + chunks, 0);
}

function areInOrder(spans: { seconds: number }[]): boolean {
  return spans.every((span, number) => span.seconds >= (spans[number - 1]?.seconds ?? 0));
}

/** Stores the figures of a job's backup for a later report. */
export async function writeFigures(
  storage: Storage,
  job: string,
  figures: BackupFigures,
  replies: Replies,
): Promise<void> {
  const body = BackupFiguresSchema.parse(figures);
  await storage.put(jobKey(job, "figures"), sealSigned(body, replies.as("figures")));
}

/**
 * Reads the figures of a job's backup.
 * @param expected the recovery point of the job, and the instance of the backup
 * @returns undefined when there are none
 * @throws ObjectCorrupt when the figures belong to another point or machine; the errors of `readSigned`
 */
export async function readFigures(
  storage: Storage,
  job: string,
  expected: Pick<BackupFigures, "point" | "machine">,
  replies: Replies,
): Promise<BackupFigures | undefined> {
  const key = jobKey(job, "figures");
  const figures = await undefinedIfAbsent(() =>
    readSigned(storage, key, BackupFiguresSchema, replies.as("figures")),
  );
  if (figures === undefined) return undefined;
  if (figures.point === expected.point && figures.machine === expected.machine) return figures;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is not about recovery point ${expected.point} of ${expected.machine}.`,
    remedy: "The recovery point is not affected. Find out who else writes to the repository.",
    object: key,
  });
}
