import { randomBytes } from "node:crypto";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import type { Storage, Upload } from "../../repository/storage/storage.js";
import type { SpeedAt } from "./advise.js";

/** Below this in the repository; no object ever appears there, because no upload is finished. */
const PREFIX = "tune/";

/**
 * Sends parts of random bytes with more and more under way, for so long at each width. The uploads are never finished but
 * aborted, also when the signal fires; should this process be killed, the next backup or prune removes them as it does a backup's.
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

/** One upload for each part in flight. @returns bytes per second */
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

/** No part may be under way any more when its upload is aborted. @throws the first failure */
async function settleAll(sending: Promise<void>[]): Promise<void> {
  await Promise.allSettled(sending);
  await Promise.all(sending);
}
