import { parentPort, workerData } from "node:worker_threads";
import { BandwidthLimit, type BandwidthLimitMemory } from "../../repository/storage/bandwidth-limit.js";

/** What a thread that sends under a limit is given. */
export interface LimitTask {
  limit: BandwidthLimitMemory;
  requestBytes: number;
  /** One Int32: requests that all threads still have to send. */
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
