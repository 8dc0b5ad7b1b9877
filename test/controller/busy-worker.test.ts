import assert from "node:assert/strict";
import { after } from "node:test";
import { writeJob } from "../../repository/jobs/job.js";
import { readResult, readStatus, requestCancel } from "../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../repository/jobs/signed-document.js";
import { openRepository, type Repository } from "../../repository/open/repository.js";
import { REPOSITORY } from "../lab/lab.js";
import { fullDepthOnly } from "../support/depth.js";
import { jobVolume, makeJob } from "../support/jobs.js";
import { rootTest } from "../support/root-test.js";
import { stopwatch, waitUntil } from "../support/wait-until.js";
import { openWorkshop } from "./lanes.js";
import { startAfterwards, startBackup } from "./stage.js";
import { WAYS } from "./ways.js";

/** Much shorter than the other job. */
const START_TIMEOUT_MS = 3000;

rootTest(
  "a backup through a worker that is busy with another says so, and waits as long as that lives",
  fullDepthOnly,
  async () => {
    const way = WAYS.find(({ name }) => name === "in one account");
    assert.ok(way !== undefined);
    const { stage, worker = "" } = await openWorkshop(way);
    after(() => stage.lab.stop());
    Object.assign(process.env, stage.lab.env);
    const { config, storage } = await openRepository(REPOSITORY);
    const other = await keepBusy({ config, storage }, worker);

    const run = startBackup(stage, worker, { BLOCKFERRY_AGENT_START_TIMEOUT_MS: String(START_TIMEOUT_MS) });
    let ended = false;
    void run.result.then(() => {
      ended = true;
    });
    const job = await queuedBehind(storage, other, () => ended);
    const waitedMs = stopwatch();
    const { stdout } = await startAfterwards(stage, "status", job).result;
    assert.equal(JSON.parse(stdout).waitsFor, other);
    await waitUntil("more than the time in which an agent must have begun", () => {
      return ended || waitedMs() > START_TIMEOUT_MS * 1.5;
    });
    assert.ok(!ended, "it waits");

    await requestCancel(storage, other);
    const { code, stderr, stdout: result } = await run.result;
    assert.equal(code, 0, result + stderr);
    assert.ok(stderr.includes(`runs ${other}, and does one job at a time`), stderr);
  },
);

/** Gives the worker a job whose device never appears. @returns its id, once the agent works on it */
async function keepBusy({ config, storage }: Pick<Repository, "config" | "storage">, worker: string) {
  const job = makeJob(config.id, [jobVolume(0, 4096)], { worker });
  await writeJob(storage, job);
  await waitUntil(
    "the agent to begin it",
    async () => (await readStatus(storage, job.id, UNSIGNED_REPLIES)) !== undefined,
  );
  return job.id;
}

/** Waits until a job is queued behind `other`. @returns the id of the waiting job */
async function queuedBehind(
  storage: Repository["storage"],
  other: string,
  hasEnded: () => boolean,
): Promise<string> {
  let waiting: string | undefined;
  await waitUntil("a job in line", async () => {
    assert.ok(!hasEnded(), "the backup goes on");
    assert.equal(await readResult(storage, other, UNSIGNED_REPLIES), undefined);
    const keys = (await storage.list("jobs/")).map(({ key }) => key.split("/"));
    waiting = keys.find(([, id, file]) => file === "job.json" && id !== other)?.[1];
    return waiting !== undefined;
  });
  return waiting ?? "";
}
