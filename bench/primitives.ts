import { read } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { cpuSecondsSince, hashAndCompress, readInFlight } from "../agent/tune/measure.js";
import { allocateAligned, BlockSource } from "../native-free-io/block-source.js";
import { CHUNK_BYTES } from "../repository/format/chunk.js";
import { openStorage } from "../repository/storage/open-storage.js";

const readAsync = promisify(read);
const READS_PER_THREAD = 16;
const WINDOW_CHUNKS = 128;
const PACK_BYTES = 64 * 1024 * 1024;

/** The minimum work of a backup of an image, each part measured separately. */
export interface Primitives {
  imageBytes: number;
  /** Bytes of chunks that are not zeros, which must be hashed. */
  hashedBytes: number;
  /** Bytes of new chunks, which must be compressed. */
  compressedBytes: number;
  /** Bytes of the compressed chunks, which must be written. */
  storedBytes: number;
  read: { wallSeconds: number; cpuSeconds: number };
  hash: { cpuSeconds: number };
  compress: { cpuSeconds: number };
  write: { wallSeconds: number; cpuSeconds: number };
}

/**
 * Measures reading, hashing, compressing and writing of an image with the functions that a backup calls.
 * Run it in a process of its own, with the UV_THREADPOOL_SIZE of the agent.
 */
export async function measurePrimitives(image: string, workFolder: string): Promise<Primitives> {
  const source = await BlockSource.open(image);
  const { fd } = source;
  try {
    const reading = await timed(() => readAll(source));
    const computing = await compute(fd, source.sizeBytes);
    const writing = await timed(() => writeAll(workFolder, computing.storedBytes));
    return { imageBytes: source.sizeBytes, read: reading, write: writing, ...computing };
  } finally {
    await source.close();
  }
}

/** Only reads, with all reads of all threads in flight at once. */
async function readAll({ path, fd, sizeBytes }: BlockSource): Promise<void> {
  let offset = -CHUNK_BYTES;
  await readInFlight(availableParallelism() * READS_PER_THREAD, () => {
    offset += CHUNK_BYTES;
    return offset < sizeBytes ? { path, fd, offset } : undefined;
  });
}

type Computing = Pick<Primitives, "hashedBytes" | "compressedBytes" | "storedBytes" | "hash" | "compress">;

/** Hashes and compresses on one thread; the clock runs only while data is in memory. */
async function compute(fd: number, sizeBytes: number): Promise<Computing> {
  const window = allocateAligned(WINDOW_CHUNKS * CHUNK_BYTES);
  const output = allocateAligned(CHUNK_BYTES);
  const known = new Set<string>();
  const sum = { hashedBytes: 0, compressedBytes: 0, storedBytes: 0, hashSeconds: 0, compressSeconds: 0 };
  for (let offset = 0; offset < sizeBytes; offset += window.length) {
    const { bytesRead } = await readAsync(fd, window, 0, window.length, offset);
    const part = hashAndCompress(window.subarray(0, bytesRead), output, known);
    for (const figure of Object.keys(sum) as (keyof typeof sum)[]) sum[figure] += part[figure];
  }
  const { hashSeconds, compressSeconds, ...bytes } = sum;
  return { ...bytes, hash: { cpuSeconds: hashSeconds }, compress: { cpuSeconds: compressSeconds } };
}

/** Writes as many bytes as the packs contain, in packs, with one writer for each core. */
async function writeAll(workFolder: string, sizeBytes: number): Promise<void> {
  const folder = join(workFolder, "primitives-repo");
  await rm(folder, { recursive: true, force: true });
  const storage = await openStorage({ kind: "directory", path: folder });
  let left = sizeBytes;
  const writer = async (_: unknown, thread: number) => {
    const part = allocateAligned(storage.partBytes);
    for (let pack = 0; left > 0; pack++) {
      const packBytes = Math.min(PACK_BYTES, left);
      left -= packBytes;
      const upload = storage.putStream(`packs/${thread}-${pack}`);
      for (let done = storage.partBytes; done < packBytes; done += storage.partBytes)
        await upload.write(part);
      await upload.finish(part);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, writer));
  await rm(folder, { recursive: true });
}

async function timed(work: () => Promise<void>): Promise<{ wallSeconds: number; cpuSeconds: number }> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  return { wallSeconds: (performance.now() - started) / 1000, cpuSeconds: cpuSecondsSince(cpu) };
}
