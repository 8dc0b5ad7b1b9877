import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Journal } from "../../controller/journal.js";
import type { JournalRecord } from "../../controller/journal-record.js";
import { readJournal } from "../../controller/read-journals.js";
import { OWNER_TOKEN } from "../../foundation/owner-token.js";
import { journalKey, listJob } from "../../repository/jobs/job-key.js";
import { sealJson } from "../../repository/sealed-json.js";
import { LocalDirectory } from "../../repository/storage/local-directory.js";
import { startProgram } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";
import { waitUntil } from "../support/wait-until.js";
import { planOf } from "./plans.js";

const TAKE_OVER = fileURLToPath(new URL("../support/take-over-worker.js", import.meta.url));
const STALE_MS = 60_000;
const RACERS = 5;
const [PLACE = "", PID = "", START = ""] = OWNER_TOKEN.split("-");

/** A job whose journal was written by another process, as the changes say. */
async function jobOf(changes: Partial<JournalRecord> = {}) {
  const folder = await tempFolder();
  const storage = new LocalDirectory(folder);
  const plan = planOf();
  const { record } = await Journal.create(storage, plan, ["first"]);
  await storage.put(journalKey(plan.jobId, 1), sealJson({ ...record, ...changes }));
  return { folder, storage, job: plan.jobId };
}

/** The token of a process of this host that has ended. */
const DEAD = `${PLACE}-${spawnSync("true").pid}-1`;

test("a job is not taken over from a process that lives, and is from one that is dead or has given no sign", async () => {
  const alive = { code: "JobRunning" };
  const parent = await jobOf({ owner: `${PLACE}-${process.ppid}` });
  await assert.rejects(Journal.takeOver(parent.storage, parent.job, STALE_MS), alive);
  const elsewhere = await jobOf({ owner: "00000000-1-1" });
  await assert.rejects(Journal.takeOver(elsewhere.storage, elsewhere.job, STALE_MS), alive);
  const updatedAt = new Date(Date.now() - 2 * STALE_MS).toISOString();
  const stale = await jobOf({ owner: "00000000-1-1", updatedAt });
  await Journal.takeOver(stale.storage, stale.job, STALE_MS);
  const dead = await jobOf({ owner: DEAD });
  await Journal.takeOver(dead.storage, dead.job, STALE_MS);
});

test("a job is taken over from a process whose number another one has now", async () => {
  const { storage, job } = await jobOf({ owner: `${PLACE}-${PID}-${Number(START) - 1}` });
  const { record } = await Journal.takeOver(storage, job, STALE_MS);
  assert.equal(record.owner, OWNER_TOKEN);
});

test("a finished job is not taken over, and told as it is", async () => {
  const { storage, job } = await jobOf({ owner: DEAD, state: "finished" });
  const { record } = await Journal.takeOver(storage, job, STALE_MS);
  assert.equal(record.state, "finished");
  assert.deepEqual((await listJob(storage, job))?.terms, [1]);
});

test("who has lost a job learns it at its next change, which nobody sees", async () => {
  const { storage, job } = await jobOf({ owner: DEAD });
  const first = await Journal.takeOver(storage, job, STALE_MS);
  const second = await Journal.takeOver(storage, job, STALE_MS);
  await second.update((record) => {
    record.state = "undoing";
  });
  assert.ok(!first.lost.aborted);
  const late = first.update((record) => {
    record.state = "finished";
  });
  await assert.rejects(late, { code: "JobRunning", object: job });
  assert.ok(first.lost.aborted);
  assert.equal((await readJournal(storage, job))?.state, "undoing");
  await second.update(() => undefined);
});

test("of several processes that take a job over at the same moment one gets it", async () => {
  const { folder, storage, job } = await jobOf({ owner: DEAD });
  const go = join(await tempFolder(), "go");
  const said = Array.from({ length: RACERS }, () => "");
  for (let racer = 0; racer < RACERS; racer++) {
    const onStderr = (text: string) => {
      said[racer] = text;
    };
    const { process: child } = startProgram(TAKE_OVER, [folder, job, go], { onStderr });
    after(() => child.kill("SIGKILL"));
  }
  const all = (what: RegExp) => () => said.every((text) => what.test(text));
  await waitUntil("all racers to be ready", all(/ready/));
  await writeFile(go, "");
  await waitUntil("all racers to have tried", all(/taken by|refused/));
  assert.equal(said.filter((text) => text.includes("refused: JobRunning")).length, RACERS - 1, String(said));
  const record = await readJournal(storage, job);
  assert.ok(String(said).includes(`taken by ${record?.owner}`), `${record?.owner} of ${said}`);
  assert.deepEqual((await listJob(storage, job))?.terms, [1, 2]);
});
