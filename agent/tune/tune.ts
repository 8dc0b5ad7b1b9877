import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { allocateAligned, type BlockSource } from "../../native-free-io/block-source.js";
import { CIPHERTEXT_BYTES } from "../../repository/encryption/aes-gcm-cipher.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/format/chunk.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type Advice, advise, type Figures, USUAL_PART_BYTES } from "./advise.js";
import { hashAndCompress, placesOf, readSample, sweepDepths, sweepUploads, withSources } from "./measure.js";
import { chooseParallelism, mostReads, type Parallelism } from "./parallelism.js";

const SAMPLE_CHUNKS = 64;
const WARM_UP_CHUNKS = 8;
/** The resolution of the measurement; shorter times count as this. */
const CLOCK_SECONDS = 1e-6;
const DEPTHS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const UPLOAD_WIDTHS = [1, 2, 4, 8, 16, 32];
/** Measured before a backup starts: enough to distinguish a fast device from a slow one, in 40 MiB. */
const QUICK_SAMPLE_CHUNKS = 16;
const QUICK_DEPTHS = [8, 32, 64];
const QUICK_STEP_MS = 300;
/** The rest is for the page cache, the service and other programs. */
const MEMORY_SHARE = 0.5;
/** An encrypted repository in S3, which takes the most memory. */
const USUAL_REPOSITORY = { partBytes: USUAL_PART_BYTES, cipherBytes: CIPHERTEXT_BYTES };

interface TuneOptions {
  devices: string[];
  /** The storage of the repository; if undefined, uploads are not measured. */
  storage: Storage | undefined;
  /** Approximate time for all measurements together. */
  seconds: number;
  signal: AbortSignal;
}

export interface Tuning {
  figures: Omit<Figures, "mostReads">;
  advice: Advice;
}

/**
 * Measures each part of a backup on this machine, and recommends settings.
 * Devices are only read; test uploads leave no objects.
 * @throws SourceNotFound, SourceUnreadable, Interrupted; the errors of `sweepUploads`
 */
export async function tune(options: TuneOptions): Promise<Tuning> {
  const { storage, signal } = options;
  const depths = possibleOf(DEPTHS);
  const steps = depths.length + (storage === undefined ? 0 : UPLOAD_WIDTHS.length);
  const stepMs = (options.seconds * 1000) / steps;
  // Uploads first, as they may be refused.
  const upload =
    storage === undefined ? [] : await sweepUploads(storage, { widths: UPLOAD_WIDTHS, stepMs, signal });
  const machine = await withSources(options.devices, (sources) =>
    measureMachine(sources, SAMPLE_CHUNKS, { depths, stepMs, signal }),
  );
  const figures = { ...machine, ...(storage === undefined ? USUAL_REPOSITORY : costsOf(storage)), upload };
  return { figures, advice: advise({ ...figures, mostReads }) };
}

/**
 * Returns the recommended parallelism from a measurement of one second, without uploads.
 * @throws SourceNotFound, SourceUnreadable, Interrupted
 */
async function measuredParallelism(
  devices: string[],
  { storage, signal }: { storage: Storage; signal: AbortSignal },
): Promise<Parallelism> {
  const depths = possibleOf(QUICK_DEPTHS);
  const machine = await withSources(devices, (sources) =>
    measureMachine(sources, QUICK_SAMPLE_CHUNKS, {
      ...{ depths, stepMs: QUICK_STEP_MS, signal },
    }),
  );
  const { threads, queueDepth } = advise({ ...machine, ...costsOf(storage), upload: [], mostReads });
  return { threads, queueDepth };
}

/** Returns the properties of the storage that determine the memory of a backup. */
function costsOf({ partBytes, cipher }: Storage): Pick<Figures, "partBytes" | "cipherBytes"> {
  return { partBytes, cipherBytes: cipher.bytesPerThread };
}

/** Returns the depths for which this process has enough I/O threads. */
function possibleOf(depths: number[]): number[] {
  const possible = depths.filter((depth) => depth <= mostReads(1));
  return possible.length > 0 ? possible : [1];
}

async function measureMachine(
  sources: BlockSource[],
  sampleChunks: number,
  sweep: Parameters<typeof sweepDepths>[1],
): Promise<Omit<Figures, "mostReads" | "upload" | "partBytes" | "cipherBytes">> {
  const places = placesOf(sources);
  const chunks = sources.reduce((sum, { sizeBytes }) => sum + chunkCount(sizeBytes), 0);
  // A chunk read twice would look like a duplicate.
  const sample = await readSample(places, Math.max(1, Math.min(sampleChunks, chunks)));
  const read = await sweepDepths(places, sweep);
  return {
    cores: availableParallelism(),
    memoryBytes: Math.floor(process.availableMemory() * MEMORY_SHARE),
    sourceBytes: sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    read,
    ...computeSpeeds(sample),
  };
}

/** Measures one core on data of the devices, or on random bytes if these hold only zeros. */
function computeSpeeds(
  sample: Buffer,
): Pick<Figures, "hashBytesPerSecond" | "compressBytesPerSecond" | "storedShare"> {
  if (!sample.some((byte) => byte !== 0)) return computeSpeeds(randomBytes(sample.length));
  const output = allocateAligned(CHUNK_BYTES);
  hashAndCompress(sample.subarray(0, WARM_UP_CHUNKS * CHUNK_BYTES), output, new Set());
  const measured = hashAndCompress(sample, output, new Set());
  return {
    hashBytesPerSecond: measured.hashedBytes / Math.max(measured.hashSeconds, CLOCK_SECONDS),
    compressBytesPerSecond: measured.compressedBytes / Math.max(measured.compressSeconds, CLOCK_SECONDS),
    storedShare: measured.storedBytes / sample.length,
  };
}

/** The parallelism that the options request. */
interface WantedParallelism {
  threads: number | "auto" | undefined;
  queueDepth: number | undefined;
}

/**
 * Refuses impossible settings before anything is opened.
 * @throws Usage
 */
export function refuseParallelism({ threads, queueDepth }: WantedParallelism): void {
  chooseParallelism(threads === "auto" ? 1 : threads, queueDepth);
}

/**
 * Returns the parallelism for `--threads` and `--queue-depth`.
 * With `auto`, devices and cores are measured first; a given queue depth is kept.
 * @throws Usage, SourceNotFound, SourceUnreadable, Interrupted
 */
export async function chosenParallelism(
  { threads, queueDepth }: WantedParallelism,
  {
    devices,
    notice,
    ...measuring
  }: { devices: string[]; notice(message: string): void; storage: Storage; signal: AbortSignal },
): Promise<Parallelism> {
  if (threads !== "auto") return chooseParallelism(threads, queueDepth);
  const found = await measuredParallelism(devices, measuring);
  const chosen = chooseParallelism(
    threadsFor(found.threads, queueDepth ?? found.queueDepth),
    queueDepth ?? found.queueDepth,
  );
  notice(`--threads auto: threads ${chosen.threads}, reads in flight of each ${chosen.queueDepth}.`);
  return chosen;
}

/** Returns as many of the threads as have enough I/O threads for a given queue depth. */
function threadsFor(threads: number, queueDepth: number): number {
  return threads > 1 && mostReads(threads) < queueDepth ? threadsFor(threads - 1, queueDepth) : threads;
}
