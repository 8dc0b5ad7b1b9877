import { randomBytes } from "node:crypto";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import type { Storage, Upload } from "../../repository/storage/storage.js";
import type { SpeedAt } from "./advise.js";

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
