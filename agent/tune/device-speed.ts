import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { SpeedAt } from "./advise.js";
import { type ChunkPlace, readChunk, readInFlight } from "./read-in-flight.js";

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
    await readChunk(place, sample.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
  }
  return sample;
}
