import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Party } from "../../../controller/aws/party.js";
import { runJob } from "../../../controller/steps/run-job.js";
import { timing } from "../../../controller/timing.js";
import { isCancelled } from "../../../repository/jobs/cancel.js";
import { type JobStatus, writeStatus } from "../../../repository/jobs/job-status.js";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf } from "../plans.js";

const TIMEOUT_MS = 30_000;

/** A job that nobody does, on a worker that runs. */
async function undoneJob(env: NodeJS.ProcessEnv) {
  const plan = planOf();
  const volumeId = plan.volumes[0]?.origin.volumeId ?? "";
  const storage = new LocalDirectory(join(await tempFolder(), "repo"));
  const running = { Reservations: [{ Instances: [{ State: { Name: "running" } }] }] };
  const party = { ec2: async () => running } as unknown as Party;
  const context = {
    ...{ plan, storage, source: party, worker: party, progress: () => undefined },
    made: { volumes: { [volumeId]: "vol-0fedcba9876543210" }, attachments: { [volumeId]: "/dev/sdf" } },
    signal: new AbortController().signal,
    visibleBy: 0,
    timing: timing({ BLOCKFERRY_POLL_MS: "5", ...env }),
  };
  await runJob.make(context);
  return { storage, job: plan.jobId, undo: () => runJob.undo(context) };
}

describe("undoing a job", { timeout: TIMEOUT_MS }, () => {
  test("cancels it, and does not wait for an agent that is silent", async () => {
    const { storage, job, undo } = await undoneJob({ BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "50" });
    await undo();
    assert.ok(await isCancelled(storage, job));
  });

  test("does not wait for ever for an agent that sends heartbeats and never ends", async () => {
    const { storage, job, undo } = await undoneJob({ BLOCKFERRY_RESOURCE_TIMEOUT_MS: "200" });
    const heart = new AbortController();
    const beating = beat(storage, job, heart.signal);
    await undo();
    heart.abort();
    assert.ok((await beating) > 1, "the agent has sent no heartbeats");
    assert.ok(await isCancelled(storage, job));
  });
});

/** @returns how many heartbeats it has sent */
async function beat(storage: LocalDirectory, job: string, ended: AbortSignal): Promise<number> {
  let sequence = 0;
  while (!ended.aborted) {
    sequence++;
    await writeStatus(storage, { ...STATUS, job, sequence, updatedAt: new Date().toISOString() });
  }
  return sequence;
}

const STATUS: Omit<JobStatus, "job" | "sequence" | "updatedAt"> = {
  ...{ version: 1, worker: "i-0f1e2d3c4b5a69788", state: "running", totalBytes: 1, doneBytes: 0 },
  ...{ zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
};
