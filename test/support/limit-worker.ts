import { parentPort, workerData } from "node:worker_threads";
import { BandwidthLimit, type BandwidthLimitMemory } from "../../repository/storage/bandwidth-limit.js";

/** The input of a thread that sends requests under a rate limit. */
export interface LimitTask {
  limit: BandwidthLimitMemory;
  requestBytes: number;
  /** One Int32: the number of requests that all threads together still have to send. */
  left: SharedArrayBuffer;
}

const { limit, requestBytes, left } = workerData as LimitTask;
const shared = BandwidthLimit.attach(limit);
const remaining = new Int32Array(left);
let sent = 0;
while (Atomics.sub(remaining, 0, 1) > 0) {
  await shared.take(requestBytes);
  sent++;
}
parentPort?.postMessage(sent);
