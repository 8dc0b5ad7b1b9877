import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Party } from "../../../controller/aws/party.js";
import { timing } from "../../../controller/aws/poll.js";
import { Signing } from "../../../controller/plan/signing.js";
import { runJob } from "../../../controller/steps/run-job.js";
import { BlockferryError } from "../../../foundation/errors.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { jobKey } from "../../../repository/jobs/job-key.js";
import {
  isCancelled,
  type JobResult,
  type JobStatus,
  readStatus,
  writeResult,
  writeStatus,
} from "../../../repository/jobs/job-replies.js";
import {
  DocumentKey,
  Replies,
  sealSigned,
  UNSIGNED_REPLIES,
} from "../../../repository/jobs/signed-document.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { localMacKey } from "../../support/job-keys.js";
import { readJob } from "../../support/jobs.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";
import { planOf, UNSIGNED } from "../plans.js";

const TIMEOUT_MS = 30_000;

const RUNNING = async () => ({ Reservations: [{ Instances: [{ State: { Name: "running" } }] }] });

/** Writes a job that no agent does, for a running worker. @param ec2 EC2's description of the worker */
async function undoneJob(env: NodeJS.ProcessEnv, ec2: () => Promise<object> = RUNNING, signing = UNSIGNED) {
  const plan = planOf();
  const volumeId = plan.volumes[0]?.origin.volumeId ?? "";
  const storage = new LocalDirectory(join(await tempFolder(), "repo"));
  const party = { ec2 } as unknown as Party;
  const context = {
    ...{ plan, storage, source: party, worker: party, progress: () => undefined },
    made: { volumes: { [volumeId]: "vol-0fedcba9876543210" }, attachments: { [volumeId]: "/dev/sdf" } },
    signing,
    signal: new AbortController().signal,
    visibleBy: 0,
    delivered: new Set<string>(),
    timing: timing({ BLOCKFERRY_POLL_MS: "5", ...env }),
  };
  await runJob.make(context);
  const parts = { wait: () => runJob.wait(context), undo: () => runJob.undo(context) };
  return { storage, job: plan.jobId, ...parts, findPoint: () => runJob.findPoint?.(context) };
}

/** Writes the result of an agent's success. */
function succeed(storage: LocalDirectory, job: string): Promise<void> {
  const { worker } = STATUS;
  const outcome = { ok: true, point: POINT } as const;
  const result = { version: 1, job, worker, finishedAt: new Date().toISOString(), outcome } as const;
  return writeResult(storage, result, UNSIGNED_REPLIES);
}

describe("a job under way", { timeout: TIMEOUT_MS }, () => {
  test("continues in an outage of EC2 while heartbeats arrive", async () => {
    let asked = 0;
    const { storage, job, wait } = await undoneJob({}, async () => {
      asked++;
      throw new BlockferryError({ code: "AwsUnavailable", message: "EC2 is down.", remedy: "Wait." });
    });
    const heart = new AbortController();
    const beating = beat(storage, job, heart.signal);
    await waitUntil(
      "the first heartbeat",
      async () => (await readStatus(storage, job, UNSIGNED_REPLIES)) !== undefined,
    );
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

  test("is lost with a worker that EC2 no longer shows", async () => {
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

  test("finds the recovery point of an agent that had finished before the cancel request reached it", async () => {
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

const RELIANCE = { knownBytes: 4, unreadBytes: 3, provenBytes: 2, storedAgainBytes: 1, alarms: ["a"] };

describe("a job whose replies are signed", { timeout: TIMEOUT_MS }, () => {
  const key = localMacKey("reply");
  const env = { BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "400" };
  const signedJob = () => undoneJob(env, RUNNING, new Signing(UNSIGNED.place, key, key));
  const agentOf = async (job: string, worker = STATUS.worker) => {
    const place = { repository: UNSIGNED.place.repository, id: job, worker };
    return new Replies(await DocumentKey.forReplies(key, place), place);
  };
  const resultOf = (job: string): JobResult => ({
    ...{ version: 1, job, worker: STATUS.worker, finishedAt: new Date().toISOString() },
    outcome: { ok: true, point: POINT, reliance: RELIANCE },
  });

  test("names the key that they are to be signed with, under the signature of the job", async () => {
    const { storage, job } = await signedJob();
    const { replyKey, signature } = await readJob(storage, job);
    assert.deepEqual([replyKey, signature?.keyArn], [key.arn, key.arn]);
  });

  test("ends well with the agent's result, and with an error at any other", async () => {
    const { storage, job, wait, findPoint } = await signedJob();
    const replies = await agentOf(job);
    await writeResult(storage, resultOf(job), replies);
    assert.deepEqual(await wait(), { point: POINT, reliance: RELIANCE });
    assert.equal(await findPoint(), POINT);
    const signed = await storage.get(jobKey(job, "result"));
    const others = await agentOf(job, "i-0ccccccccccccccc3");
    for (const [code, forged] of [
      ["JobUnsigned", sealJson(resultOf(job))],
      ["JobSignatureInvalid", sealSigned(resultOf(job), others.as("result"))],
      ["JobSignatureInvalid", sealSigned(resultOf(job), replies.as("status"))],
      ["ObjectCorrupt", signed.subarray(0, 100)],
    ] as const) {
      await storage.put(jobKey(job, "result"), forged);
      await assert.rejects(wait(), { code, object: jobKey(job, "result") });
      assert.equal(await findPoint(), undefined);
    }
  });

  test("shows the objection of an agent without the key, as a claim", async () => {
    const { storage, job, wait } = await signedJob();
    const error = { code: "JobRefused", message: "no reply key", remedy: "Start it with one." } as const;
    await writeResult(storage, { ...resultOf(job), outcome: { ok: false, error } }, UNSIGNED_REPLIES);
    await assert.rejects(wait(), { code: "JobUnsigned", message: /claims.*JobRefused: no reply key/ });
  });

  test("is lost when nothing but forged heartbeats comes, however many", async () => {
    const { storage, job, wait } = await undoneJob(
      { BLOCKFERRY_AGENT_START_TIMEOUT_MS: "400" },
      ...([RUNNING, new Signing(UNSIGNED.place, key, key)] as const),
    );
    const heart = new AbortController();
    const beating = beat(storage, job, heart.signal);
    await assert.rejects(wait(), {
      code: "WorkerLost",
      message: /status\.json is not used: it is not signed/,
    });
    heart.abort();
    await beating;
  });

  test("is not undone for a forged result while the agent is heard of, which is asked to end", async () => {
    const { storage, job, undo } = await signedJob();
    await writeResult(storage, resultOf(job), UNSIGNED_REPLIES);
    const heart = new AbortController();
    const beating = beat(storage, job, heart.signal, await agentOf(job));
    let isUndone = false;
    const undoing = undo().then(() => {
      isUndone = true;
    });
    await waitUntil("the agent to be asked to end", () => isCancelled(storage, job));
    const from = await beatsOf(storage, job, await agentOf(job));
    await waitUntil(
      "more heartbeats",
      async () => (await beatsOf(storage, job, await agentOf(job))) > from + 50,
    );
    assert.equal(isUndone, false, "its devices would have been taken away");
    heart.abort();
    await beating;
    await undoing;
  });
});

async function beatsOf(storage: LocalDirectory, job: string, replies: Replies): Promise<number> {
  return (await readStatus(storage, job, replies))?.sequence ?? 0;
}

/** Sends heartbeats until `ended`. @returns their number */
async function beat(
  storage: LocalDirectory,
  job: string,
  ended: AbortSignal,
  replies = UNSIGNED_REPLIES,
): Promise<number> {
  let sequence = 0;
  while (!ended.aborted) {
    sequence++;
    const status = { ...STATUS, job, sequence, updatedAt: new Date().toISOString() };
    await writeStatus(storage, status, replies);
  }
  return sequence;
}

const POINT = "20261124T120000Z-00000001";
const STATUS: Omit<JobStatus, "job" | "sequence" | "updatedAt"> = {
  ...{ version: 1, worker: "i-0f1e2d3c4b5a69788", state: "running", totalBytes: 1, doneBytes: 0 },
  ...{ zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
};
