import type { Storage } from "../../repository/storage/storage.js";
import type { JobPlan } from "../plan.js";
import type { Signing } from "../signing.js";
import { timing } from "../timing.js";
import { jobUnderWay } from "../worker-queue.js";

/**
 * Returns a note when a job will wait for another one.
 * A worker of its own has no other jobs.
 */
export async function queueNotes(
  storage: Storage,
  { request, jobId }: JobPlan,
  signing: Signing,
): Promise<string[]> {
  const { workerInstance } = request;
  if (workerInstance.kind !== "existing") return [];
  const running = await jobUnderWay(
    ...([storage, workerInstance.instanceId, jobId, signing] as const),
    timing().heartbeatMs,
  );
  if (running === undefined) return [];
  return [
    `worker ${workerInstance.instanceId} runs ${running.job}, and does one job at a time: this one waits for it. To stop it: blockferry cancel ${running.job}`,
  ];
}
