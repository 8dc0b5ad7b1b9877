import type { Storage } from "../../repository/storage/storage.js";
import type { JobPlan } from "../plan.js";
import { timing } from "../timing.js";
import { jobUnderWay } from "../worker-queue.js";

/** That a job will have to wait for another one; none for a worker of its own. */
export async function queueNotes(storage: Storage, { request, jobId }: JobPlan): Promise<string[]> {
  const { workerInstance } = request;
  if (workerInstance.kind !== "existing") return [];
  const running = await jobUnderWay(storage, workerInstance.instanceId, jobId, timing().heartbeatMs);
  if (running === undefined) return [];
  return [
    `worker ${workerInstance.instanceId} runs ${running.job}, and does one job at a time: this one waits for it. To stop it: blockferry cancel ${running.job}`,
  ];
}
