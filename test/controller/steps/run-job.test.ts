import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Party } from "../../../controller/aws/party.js";
import { runJob } from "../../../controller/steps/run-job.js";
import { timing } from "../../../controller/timing.js";
import { BlockferryError } from "../../../foundation/blockferry-error.js";
import { isCancelled } from "../../../repository/jobs/cancel.js";
import { writeResult } from "../../../repository/jobs/job-result.js";
import { UNSIGNED } from "../../../repository/jobs/job-signature.js";
import { type JobStatus, readStatus, writeStatus } from "../../../repository/jobs/job-status.js";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";
import { planOf } from "../plans.js";

const TIMEOUT_MS = 30_000;

const RUNNING = async () => ({ Reservations: [{ Instances: [{ State: { Name: "running" } }] }] });

/** A job that nobody does, on a worker that runs. @param ec2 what EC2 says about it */
async function undoneJob(env: NodeJS.ProcessEnv, ec2: () => Promise<object> = RUNNING) {
  const plan = planOf();
  const volumeId = plan.volumes[0]?.origin.volumeId ?? "";
  const storage = new LocalDirectory(join(await tempFolder(), "repo"));
  const party = { ec2 } as unknown as Party;
  const context = {
    ...{ plan, storage, source: party, worker: party, progress: () => undefined },
    made: { volumes: { [volumeId]: "vol-0fedcba9876543210" }, attachments: { [volumeId]: "/dev/sdf" } },
    signer: UNSIGNED,
    signal: new AbortController().signal,
    visibleBy: 0,
    delivered: new Set<string>(),
    timing: timing({ BLOCKFERRY_POLL_MS: "5", ...env }),
  };
  await runJob.make(context);
  const parts = { wait: () => runJob.wait(context), undo: () => runJob.undo(context) };
  return { storage, job: plan.jobId, ...parts, findPoint: () => runJob.findPoint?.(context) };
}

/** What the agent writes when it is done. */
function succeed(storage: LocalDirectory, job: string): Promise<void> {
  const { worker } = STATUS;
  const outcome = { ok: true, point: POINT } as const;
  return writeResult(storage, { version: 1, job, worker, finishedAt: new Date().toISOString(), outcome });
}

describe("a job under way", { timeout: TIMEOUT_MS }, () => {
  test("goes on in an outage of EC2 while the agent is heard of", async () => {
    let asked = 0;
    const { storage, job, wait } = await undoneJob({}, async () => {
      asked++;
      throw new BlockferryError({ code: "AwsUnavailable", message: "EC2 is down.", remedy: "Wait." });
    });
    const heart = new AbortController();
    const beating = beat(storage, job, heart.signal);
    await waitUntil("the first heartbeat", async () => (await readStatus(storage, job)) !== undefined);
    const waiting = wait();
    await waitUntil("EC2 to be asked", () => asked > 2);
    await succeed(storage, job);
    assert.deepEqual(await waiting, { point: POINT });
    heart.abort();
    await beating;
  });

  test("is not lost because EC2 does not show its worker for a moment", async () => {
    let asked = 0;
    const { storage, job, wait } = await undoneJob({}, () =>
      asked++ % 2 === 0 ? RUNNING() : Promise.resolve({ Reservations: [] }),
    );
    const waiting = wait();
    await waitUntil("EC2 to be asked", () => asked > 4);
    await succeed(storage, job);
    assert.deepEqual(await waiting, { point: POINT });
  });

  test("is lost with a worker that EC2 does not show any more", async () => {
    const env = { BLOCKFERRY_VISIBLE_TIMEOUT_MS: "50" };
    const { wait } = await undoneJob(env, async () => ({ Reservations: [] }));
    await assert.rejects(wait(), { code: "WorkerLost", message: /is gone/ });
  });
});

describe("undoing a job", { timeout: TIMEOUT_MS }, () => {
  test("cancels it, and does not wait for an agent that is silent", async () => {
    const { storage, job, undo } = await undoneJob({ BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "50" });
    await undo();
    assert.ok(await isCancelled(storage, job));
  });

  test("finds the recovery point of an agent that was done before it heard of it", async () => {
    const { storage, job, undo, findPoint } = await undoneJob({});
    assert.equal(await findPoint(), undefined);
    await succeed(storage, job);
    await undo();
    assert.equal(await findPoint(), POINT);
    assert.ok(!(await isCancelled(storage, job)));
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

const POINT = "20261124T120000Z-00000001";
const STATUS: Omit<JobStatus, "job" | "sequence" | "updatedAt"> = {
  ...{ version: 1, worker: "i-0f1e2d3c4b5a69788", state: "running", totalBytes: 1, doneBytes: 0 },
  ...{ zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
};
