import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openSigning } from "../../../controller/plan/signing.js";
import { Journal } from "../../../controller/run/journal.js";
import { removeOldJobs } from "../../../controller/run/old-jobs.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { journalKey } from "../../../repository/jobs/job-key.js";
import { openRepository } from "../../../repository/open/repository.js";
import { controller } from "../../support/controller.js";
import { newMacKey } from "../../support/job-keys.js";
import { failure, newRepository } from "../../support/repositories.js";
import { startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf, unsignedIn } from "../plans.js";

const JOB = "job-20261101T120000Z-0123abcd";
const OTHER = "job-20261101T120000Z-0123abce";

await startS3Server("moto");
const key = await newMacKey();

/** Makes a repository with two jobs, whose controllers signed their journals and died. */
async function twoJobs() {
  const repo = await newRepository(await tempFolder());
  const { config, storage } = await openRepository(repo);
  const signing = openSigning({ config }, { jobKey: key }, { profile: undefined });
  for (const jobId of [JOB, OTHER]) {
    const journal = await Journal.create(
      storage,
      planOf({ jobId, repositoryId: config.id }),
      ["run-job"],
      signing,
    );
    await journal.update((record) => Object.assign(record, { owner: "deadbeef-1-1" }));
  }
  const get = (job = JOB, term = 1) => storage.get(journalKey(job, term));
  const body = async () => JSON.parse((await get()).toString()).body;
  return { repo, storage, config, signing, get, body };
}

type Stage = Awaited<ReturnType<typeof twoJobs>>;

/** Journals of a job that any writer to the repository can forge. */
const FORGERIES: Record<string, [code: string, forge: (stage: Stage) => Promise<void>]> = {
  unsigned: [
    "JobUnsigned",
    async ({ storage, body }) => {
      const { signature: _, ...rest } = await body();
      await storage.put(journalKey(JOB, 1), sealJson(rest));
    },
  ],
  changed: [
    "JobSignatureInvalid",
    async ({ storage, body }) => {
      const { signature, ...rest } = await body();
      await storage.put(journalKey(JOB, 1), sealJson({ ...rest, made: { workerId: "i-0123" }, signature }));
    },
  ],
  "of another job": [
    "JobSignatureInvalid",
    async ({ storage, get }) => storage.put(journalKey(JOB, 1), await get(OTHER)),
  ],
  "of an earlier term, as a later one": [
    "JobSignatureInvalid",
    async ({ storage, get }) => storage.put(journalKey(JOB, 3), await get()),
  ],
  "signed with another key": [
    "JobSignatureInvalid",
    async ({ storage, config }) => {
      await storage.delete([journalKey(JOB, 1)]);
      const signing = openSigning({ config }, { jobKey: await newMacKey() }, { profile: undefined });
      await Journal.create(storage, planOf({ jobId: JOB, repositoryId: config.id }), ["run-job"], signing);
    },
  ],
  "cut short": [
    "ObjectCorrupt",
    async ({ storage, get }) => storage.put(journalKey(JOB, 1), (await get()).subarray(0, 300)),
  ],
};

interface Told {
  jobs: { job: string }[];
  wouldClean: { job: string }[];
  problems: { code: string; object: string }[];
}

describe("journals that are not proven", () => {
  for (const [what, [code, forge]] of Object.entries(FORGERIES)) {
    test(`are named and not acted on: ${what}`, async () => {
      const stage = await twoJobs();
      await forge(stage);
      const look = ["--repo", stage.repo, "--job-key", key, "--json"];
      const [status, cleanup, resume] = await Promise.all([
        controller(["status", ...look]),
        controller(["cleanup", "--older-than", "0s", "--dry-run", ...look], {
          BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "1",
        }),
        controller(["resume", JOB, ...look]),
      ]);
      const listed = JSON.parse(status.stdout) as Told;
      assert.deepEqual(
        listed.jobs.map(({ job }) => job),
        [OTHER],
      );
      assert.deepEqual(
        listed.problems.map((problem) => problem.code),
        [code],
      );
      assert.match(listed.problems[0]?.object ?? "", new RegExp(`^jobs/${JOB}/journal`));
      const { wouldClean, problems } = JSON.parse(cleanup.stdout) as Told;
      assert.deepEqual(
        wouldClean.map(({ job }) => job),
        [OTHER],
      );
      assert.deepEqual(
        problems.map((problem) => problem.code),
        [code],
      );
      assert.equal(failure(code === "ObjectCorrupt" ? 3 : 1, resume).code, code);
    });
  }
});

test("signed journals need the key, which the error names; only cancel does not", async () => {
  const { repo } = await twoJobs();
  const status = await controller(["status", "--repo", repo, "--json"]);
  const { jobs, problems } = JSON.parse(status.stdout);
  assert.deepEqual([jobs, problems.length, problems[0].code], [[], 2, "JobRefused"]);
  assert.ok(problems[0].remedy.includes(`--job-key ${key}`), problems[0].remedy);
  const cancel = await controller(["cancel", JOB, "--repo", repo, "--json"]);
  assert.equal(JSON.parse(cancel.stdout).cancelled, true);
});

test("a forged journal after its own takes no job from a controller", async () => {
  const { storage, config, signing, body } = await twoJobs();
  const plan = planOf({ jobId: "job-20261101T120000Z-0123abcf", repositoryId: config.id });
  const journal = await Journal.create(storage, plan, ["run-job"], signing);
  await storage.put(journalKey(plan.jobId, 2), sealJson(await body()));
  await journal.update((record) => Object.assign(record.made, { point: "p" }));
  assert.equal(journal.lost.aborted, false);
});

test("documents of a job are not removed because of a forged journal with a finished state", async () => {
  const { storage, config, signing, body } = await twoJobs();
  const { signature: _, ...rest } = await body();
  await storage.put(journalKey(JOB, 2), sealJson({ ...rest, state: "finished" }));
  const later = Date.now() + 90 * 24 * 3_600_000;
  assert.deepEqual(await removeOldJobs(storage, signing, later), []);
  assert.deepEqual(
    await removeOldJobs(storage, unsignedIn(config), later),
    [JOB],
    "without a key it is believed",
  );
});

test("a journal from another repository is damaged, with or without a key", async () => {
  const { repo, body, storage } = await twoJobs();
  const { signature: _, ...rest } = await body();
  const copied = { ...rest, plan: { ...rest.plan, repositoryId: planOf().repositoryId } };
  await storage.put(journalKey(JOB, 1), sealJson(copied));
  const error = failure(3, await controller(["resume", JOB, "--repo", repo, "--json"]));
  assert.deepEqual([error.code, error.object], ["ObjectCorrupt", journalKey(JOB, 1)]);
});
