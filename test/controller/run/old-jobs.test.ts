import assert from "node:assert/strict";
import { test } from "node:test";
import { Journal } from "../../../controller/run/journal.js";
import { removeOldJobs } from "../../../controller/run/old-jobs.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { jobKey, journalKey, listJobs } from "../../../repository/jobs/job-key.js";
import { openRepository } from "../../../repository/open/repository.js";
import { controller } from "../../support/controller.js";
import { newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf, unsignedIn } from "../plans.js";

const LONG_AGO = "2025-01-31T10:00:00.000Z";
const OLD = (number: number) => `job-20250131T090000Z-0000000${number}`;
const NOW = Date.parse("2026-11-24T12:00:00Z");

async function workshop() {
  const repo = await newRepository(await tempFolder());
  const { config, storage } = await openRepository(repo);
  const signing = unsignedIn(config);
  const put = async (...keys: string[]) => {
    for (const key of keys) await storage.put(key, Buffer.from("{}"));
  };
  /** Writes a job that a controller finished or abandoned at `updatedAt`, with all files of its agent. */
  const keep = async (jobId: string, state: "finished" | "undoing", updatedAt: string) => {
    const plan = planOf({ jobId, repositoryId: config.id });
    const { record } = await Journal.create(storage, plan, [], signing);
    await put(
      jobKey(jobId, "job"),
      jobKey(jobId, "status"),
      jobKey(jobId, "result"),
      jobKey(jobId, "figures"),
      jobKey(jobId, "cancel"),
    );
    await storage.put(journalKey(jobId, 2), sealJson({ ...record, state, updatedAt, owner: "00000000-1" }));
  };
  return { repo, storage, signing, put, keep };
}

test("the documents of jobs that were finished long ago are removed, and those of unfinished ones never", async () => {
  const { storage, signing, put, keep } = await workshop();
  await keep(OLD(1), "finished", LONG_AGO);
  await keep(OLD(2), "undoing", LONG_AGO);
  await keep(OLD(3), "finished", new Date(NOW - 29 * 24 * 3_600_000).toISOString());
  await put(jobKey(OLD(4), "job"), jobKey(OLD(4), "status"));
  await put(jobKey(OLD(5), "job"), jobKey(OLD(5), "result"));
  await put(jobKey(OLD(6), "status"), jobKey(OLD(6), "result"));
  await put(jobKey(OLD(7), "job"), jobKey(OLD(7), "result"), journalKey(OLD(7), 1));
  await keep("job-20261123T090000Z-00000008", "finished", "2026-11-23T10:00:00.000Z");
  assert.deepEqual(await removeOldJobs(storage, signing, NOW), [OLD(1), OLD(5), OLD(6)]);
  const left = (await listJobs(storage)).map(({ id }) => id);
  assert.deepEqual(left, [OLD(2), OLD(3), OLD(4), OLD(7), "job-20261123T090000Z-00000008"]);
  assert.deepEqual(await removeOldJobs(storage, signing, NOW), []);
});

test("an old job that is half removed is never open, and is removed the next time", async (context) => {
  const { storage, signing, keep } = await workshop();
  await keep(OLD(1), "finished", LONG_AGO);
  const original = storage.delete.bind(storage);
  for (let calls = 1; calls <= 2; calls++) {
    let left = calls;
    context.mock.method(storage, "delete", (keys: string[]) => {
      return left-- > 0 ? original(keys) : Promise.reject(new Error("killed"));
    });
    await assert.rejects(removeOldJobs(storage, signing, NOW), /killed/);
    const [job] = await listJobs(storage);
    assert.ok(!job?.objects.has("job"), "no agent takes it for new");
    assert.equal(job?.terms.at(-1), 2, "and it is known to be finished");
  }
  context.mock.method(storage, "delete", original);
  assert.deepEqual(await removeOldJobs(storage, signing, NOW), [OLD(1)]);
  assert.deepEqual(await listJobs(storage), []);
});

test("cleanup removes old jobs and lists them", async () => {
  const { repo, keep } = await workshop();
  await keep(OLD(1), "finished", LONG_AGO);
  const { code, stdout } = await controller(["cleanup", "--repo", repo, "--json"]);
  assert.equal(code, 0, stdout);
  assert.deepEqual(JSON.parse(stdout), { cleaned: [], left: [], problems: [], removed: [OLD(1)] });
});
