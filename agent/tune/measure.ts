import { randomBytes } from "node:crypto";
import { read } from "node:fs";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { throwIfInterrupted } from "../../foundation/errors.js";
import { allocateAligned, BlockSource, isBadBlock } from "../../native-free-io/block-source.js";
import { CHUNK_BYTES, chunkId } from "../../repository/format/chunk.js";
import { encodeChunk } from "../../repository/format/chunk-codec.js";
import type { Storage, Upload } from "../../repository/storage/storage.js";
import { sourceUnreadable } from "../backup/salvage-chunk.js";
import { EXTENT_CHUNKS } from "../threads/shared-memory.js";
import type { SpeedAt } from "./advise.js";

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** The bytes of chunks that one core processed, and the CPU seconds it took. */
interface Computing {
  /** Bytes of chunks that are not zeros, which must be hashed. */
  hashedBytes: number;
  /** Bytes of new chunks, which must be compressed. */
  compressedBytes: number;
  /** Their bytes after compression, which must be written. */
  storedBytes: number;
  hashSeconds: number;
  compressSeconds: number;
}

/**
 * Hashes and compresses chunks like a backup; the data are in memory before the measurement.
 * @param output memory for one chunk
 * @param known ids of the chunks so far; new ones are added
 */
export function hashAndCompress(bytes: Buffer, output: Buffer, known: Set<string>): Computing {
  const chunks = chunksOf(bytes).filter((chunk) => !chunk.equals(ZEROS.subarray(0, chunk.length)));
  const hashing = process.cpuUsage();
  const ids = chunks.map(chunkId);
  const hashSeconds = cpuSecondsSince(hashing);
  const fresh = chunks.filter((_, number) => isNew((ids[number] as Buffer).toString("hex"), known));
  const compressing = process.cpuUsage();
  let storedBytes = 0;
  for (const chunk of fresh) {
    const encodedBytes = encodeChunk(chunk, output, 0, "lz4");
    crc32(output.subarray(0, encodedBytes));
    storedBytes += encodedBytes;
  }
  const compressSeconds = cpuSecondsSince(compressing);
  return {
    ...{ hashSeconds, compressSeconds, storedBytes },
    hashedBytes: totalBytes(chunks),
    compressedBytes: totalBytes(fresh),
  };
}

function isNew(id: string, known: Set<string>): boolean {
  const before = known.size;
  return known.add(id).size > before;
}

function chunksOf(bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function totalBytes(chunks: Buffer[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
}

/** Returns the CPU seconds of all threads of this process, user and system. */
export function cpuSecondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

const EXTENT_BYTES = EXTENT_CHUNKS * CHUNK_BYTES;
/** Prime, so that the walk visits every extent before it repeats, unless their number is a multiple of it. */
const STRIDE = 7919;

/**
 * Opens the devices for reading, and passes them to `use`.
 * @throws SourceNotFound, SourceUnreadable
 */
export async function withSources<T>(
  paths: string[],
  use: (sources: BlockSource[]) => Promise<T>,
): Promise<T> {
  const sources: BlockSource[] = [];
  try {
    for (const path of paths) sources.push(await BlockSource.open(path));
    return await use(sources);
  } finally {
    for (const source of sources) await source.close();
  }
}

/**
 * Yields places in the order of a backup: chunk by chunk within an extent, extents of all devices in turn.
 * They are spread over the device, and none repeats before all have been read: a second read of the same data
 * is fast (a lazily loaded EBS volume).
 */
export function* placesOf(sources: BlockSource[]): Generator<ChunkPlace, void> {
  const filled = sources.filter(({ sizeBytes }) => sizeBytes > 0);
  for (let turn = 0; filled.length > 0; turn++) {
    for (const { path, fd, sizeBytes } of filled) {
      const extents = Math.ceil(sizeBytes / EXTENT_BYTES);
      const start = ((turn * STRIDE) % extents) * EXTENT_BYTES;
      const end = Math.min(start + EXTENT_BYTES, sizeBytes);
      for (let offset = start; offset < end; offset += CHUNK_BYTES) yield { path, fd, offset };
    }
  }
}

/**
 * Measures reads at each queue depth, for `stepMs` milliseconds each.
 * @throws Interrupted
 */
export async function sweepDepths(
  places: Iterator<ChunkPlace, void>,
  { depths, stepMs, signal }: { depths: number[]; stepMs: number; signal: AbortSignal },
): Promise<SpeedAt[]> {
  const speeds: SpeedAt[] = [];
  const memory = allocateAligned(Math.max(...depths) * CHUNK_BYTES);
  for (const inFlight of depths) {
    const started = performance.now();
    const isOver = () => signal.aborted || performance.now() - started >= stepMs;
    const readBytes = await readInFlight(
      inFlight,
      () => (isOver() ? undefined : (places.next().value ?? undefined)),
      memory,
    );
    throwIfInterrupted(signal);
    speeds.push({ inFlight, bytesPerSecond: (readBytes / (performance.now() - started)) * 1000 });
  }
  return speeds;
}

/**
 * Reads a number of chunks, one after the other in memory; a chunk at the end of a device is followed by
 * zeros.
 */
export async function readSample(places: Iterator<ChunkPlace, void>, chunks: number): Promise<Buffer> {
  const sample = allocateAligned(chunks * CHUNK_BYTES);
  for (let chunk = 0; chunk < chunks; chunk++) {
    const place = places.next().value;
    if (place === undefined) break;
    await readDeviceChunk(place, sample.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
  }
  return sample;
}

const readAsync = promisify(read);

/** A chunk of a source. */
interface ChunkPlace {
  path: string;
  /** Descriptor of the source. */
  fd: number;
  /** In bytes. */
  offset: number;
}

/**
 * Keeps one read per slot in flight until `next` returns undefined.
 * @param memory aligned, one chunk per slot
 * @returns the bytes read
 * @throws SourceUnreadable
 */
export async function readInFlight(
  slots: number,
  next: () => ChunkPlace | undefined,
  memory = allocateAligned(slots * CHUNK_BYTES),
): Promise<number> {
  let readBytes = 0;
  const readOn = async (_: unknown, slot: number) => {
    const buffer = memory.subarray(slot * CHUNK_BYTES, (slot + 1) * CHUNK_BYTES);
    for (let place = next(); place !== undefined; place = next()) {
      // In one expression the sum would be read before the wait, and lose the bytes of other slots.
      const bytesRead = await readDeviceChunk(place, buffer);
      readBytes += bytesRead;
    }
  };
  const reading = Array.from({ length: slots }, readOn);
  // The descriptors must outlive every read, even after one has failed.
  await Promise.allSettled(reading);
  await Promise.all(reading);
  return readBytes;
}

/**
 * Reads a chunk. Bad blocks are skipped here; the backup decides whether they are fatal.
 * @returns the bytes read
 * @throws SourceUnreadable
 */
async function readDeviceChunk({ path, fd, offset }: ChunkPlace, into: Buffer): Promise<number> {
  try {
    return (await readAsync(fd, into, 0, CHUNK_BYTES, offset)).bytesRead;
  } catch (error) {
    if (isBadBlock(error)) return 0;
    throw sourceUnreadable(path, offset, error);
  }
}

/** Prefix of the uploads in the repository; no object ever appears there, because no upload is finished. */
const PREFIX = "tune/";

/**
 * Measures uploads at each number of parts in flight.
 * It sends parts of random bytes for `stepMs` milliseconds at each width. The uploads are always aborted,
 * also when the signal fires. If this process is killed, the next backup or prune removes them like those of
 * a backup.
 * @throws StorageDenied, StorageFailed, StorageFull, StorageUnavailable, Interrupted
 */
export async function sweepUploads(
  storage: Storage,
  { widths, stepMs, signal }: { widths: number[]; stepMs: number; signal: AbortSignal },
): Promise<SpeedAt[]> {
  const session = await storage.beginUploads();
  try {
    const part = allocateAligned(storage.partBytes);
    randomBytes(part.length).copy(part);
    const speeds: SpeedAt[] = [];
    for (const inFlight of widths) {
      const bytesPerSecond = await sendParts(storage.until(signal), part, { inFlight, stepMs, signal });
      speeds.push({ inFlight, bytesPerSecond });
    }
    return speeds;
  } finally {
    await session.end();
  }
}

/**
 * Sends parts in one upload per part in flight.
 * @returns bytes per second
 */
async function sendParts(
  storage: Storage,
  part: Buffer,
  { inFlight, stepMs, signal }: { inFlight: number; stepMs: number; signal: AbortSignal },
): Promise<number> {
  const uploads: Upload[] = [];
  try {
    const started = performance.now();
    let sentBytes = 0;
    const sendOn = async () => {
      const upload = storage.putStream(`${PREFIX}${randomBytes(16).toString("hex")}`);
      uploads.push(upload);
      while (!signal.aborted && performance.now() - started < stepMs) {
        await upload.write(part);
        sentBytes += part.length;
      }
    };
    await settleAll(Array.from({ length: inFlight }, sendOn));
    throwIfInterrupted(signal);
    return (sentBytes / (performance.now() - started)) * 1000;
  } finally {
    await Promise.all(uploads.map((upload) => upload.abort()));
  }
}

/**
 * Waits for all parts: none may be in flight when its upload is aborted.
 * @throws the first failure
 */
async function settleAll(sending: Promise<void>[]): Promise<void> {
  await Promise.allSettled(sending);
  await Promise.all(sending);
}
