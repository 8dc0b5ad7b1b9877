import * as z from "zod/mini";
import { byteCount } from "../repository/byte-count.js";
import { POINT_ID, StatsSchema } from "../repository/recovery-point.js";

/** What a backup does, one after the other. */
const STEPS = ["prepare", "index", "holes", "read", "maps", "commit", "compare"] as const;
export type BackupStep = (typeof STEPS)[number];

/** What a thread of a backup can be at, as it is told: `send` is what it does while it waits, which is to hand packs to the storage. */
export const STAGES = ["device", "read", "zeros", "hash", "compress", "send", "storage"] as const;
export type Stage = (typeof STAGES)[number];

/** What became of a chunk; every chunk of a volume has one of these. */
export const OUTCOMES = ["zero", "unchanged", "deduplicated", "new"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Of what is in a map: the outcomes, and chunks with blocks that could not be read. */
export const MAP_KINDS = [...OUTCOMES, "bad"] as const;

/** Of a map. */
export const MAX_CELLS = 1024;
/** Of a timeline: enough for a chart, however long the run is. */
export const MAX_SPANS = 400;
const MAX_THREADS = 4096;
/** As many as EC2 attaches to an instance. */
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
    /** In each cell, but for the last: a power of two. */
    chunksPerCell: z.int().check(z.positive()),
    /** For each cell, a stretch of the volume, how many of its chunks are of each kind, in the order of `MAP_KINDS`. */
    cells: z
      .array(z.array(count).check(z.length(MAP_KINDS.length), z.refine(isSome, "a cell of no chunks")))
      .check(z.maxLength(MAX_CELLS)),
  })
  .check(z.refine(hasRoom, "a cell has more chunks than there can be in one"));

/** A step of a run, in seconds since it began. */
const StepTimeSchema = z
  .strictObject({ step: z.enum(STEPS), start: seconds, end: seconds })
  .check(z.refine(({ start, end }) => start <= end, "a step ends before it begins"));

/** What the threads did between two looks at them. */
const SpanSchema = z.strictObject({
  /** When it ended, since the threads began. */
  seconds,
  /** Of the volumes, holes and zeros included. */
  readBytes: byteCount,
  storedBytes: byteCount,
  /** Of all threads together. */
  stages: stageSeconds,
});

/** Bounds are what a page can draw, and EC2 can need: figures of a job come from a worker, which nobody has to believe. */
export const BackupFiguresSchema = z.strictObject({
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
  /** Whether the point before could be read; if not, what is unchanged counts as deduplicated. */
  compared: z.boolean(),
  volumes: z.array(VolumeReportSchema).check(z.maxLength(MAX_VOLUMES)),
  steps: z.array(StepTimeSchema).check(z.maxLength(STEPS.length)),
  /** Of each thread, what it spent its seconds on. */
  stages: z.array(stageSeconds).check(z.maxLength(MAX_THREADS)),
  timeline: z.array(SpanSchema).check(z.maxLength(MAX_SPANS), z.refine(areInOrder, "spans are not in order")),
});

/** All that the report of a backup tells; it is in the page as JSON, as docs/operations.md describes it. */
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
