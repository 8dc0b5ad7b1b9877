import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Journal } from "../../../controller/run/journal.js";
import { type JournalRecord, readJournal } from "../../../controller/run/read-journals.js";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { sealJson, unsealText } from "../../../repository/format/sealed-json.js";
import { journalKey, listJob } from "../../../repository/jobs/job-key.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { startProgram } from "../../support/start-program.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";
import { planOf, UNSIGNED } from "../plans.js";

const TAKE_OVER = fileURLToPath(new URL("../../support/take-over-worker.js", import.meta.url));
const STALE_MS = 60_000;
const RACERS = 5;
const [PLACE = "", PID = "", START = ""] = OWNER_TOKEN.split("-");

/** Makes a job whose journal another process wrote. @param changes to its record */
async function jobOf(changes: Partial<JournalRecord> = {}) {
  const folder = await tempFolder();
  const storage = new LocalDirectory(folder);
  const plan = planOf();
  const { record } = await Journal.create(storage, plan, ["first"], UNSIGNED);
  await storage.put(journalKey(plan.jobId, 1), sealJson({ ...record, ...changes }));
  return { folder, storage, job: plan.jobId };
}

/** The token of a process of this host that has ended. */
const DEAD = `${PLACE}-${spawnSync("true").pid}-1`;

test("a job is not taken over from a process that lives, and is from one that is dead or has given no sign", async () => {
  const alive = { code: "JobRunning" };
  const parent = await jobOf({ owner: `${PLACE}-${process.ppid}` });
  await assert.rejects(Journal.takeOver(parent.storage, parent.job, STALE_MS, UNSIGNED), alive);
  const dead = await jobOf({ owner: DEAD });
  await Journal.takeOver(dead.storage, dead.job, STALE_MS, UNSIGNED);
});

const SOON_MS = 1000;
const HOUR_MS = 3_600_000;
for (const [clock, skewMs] of [
  ["right", 0],
  ["an hour slow", -HOUR_MS],
  ["an hour fast", HOUR_MS],
] as const) {
  const owner = "00000000-1-1";
  const dateThere = () => new Date(Date.now() + skewMs).toISOString();

  test(`a job is not taken over from a machine whose clock is ${clock} while it writes the journal`, async () => {
    const { storage, job } = await jobOf({ owner, updatedAt: dateThere() });
    const record = JSON.parse(unsealText(await storage.get(journalKey(job, 1)), job)) as JournalRecord;
    const writing = setInterval(() => {
      void storage.put(journalKey(job, 1), sealJson({ ...record, updatedAt: dateThere() }));
    }, SOON_MS / 4);
    const taking = Journal.takeOver(storage, job, SOON_MS, UNSIGNED);
    await assert.rejects(taking, { code: "JobRunning" }).finally(() => clearInterval(writing));
  });

  test(`a job is taken over from a machine whose clock is ${clock} once it writes no more`, async () => {
    const { storage, job } = await jobOf({ owner, updatedAt: dateThere() });
    assert.equal((await Journal.takeOver(storage, job, SOON_MS, UNSIGNED)).record.owner, OWNER_TOKEN);
  });
}

test("a job is taken over from a process whose number another one has now", async () => {
  const { storage, job } = await jobOf({ owner: `${PLACE}-${PID}-${Number(START) - 1}` });
  const { record } = await Journal.takeOver(storage, job, STALE_MS, UNSIGNED);
  assert.equal(record.owner, OWNER_TOKEN);
});

test("a finished job is not taken over, and its outcome is returned", async () => {
  const { storage, job } = await jobOf({ owner: DEAD, state: "finished" });
  const { record } = await Journal.takeOver(storage, job, STALE_MS, UNSIGNED);
  assert.equal(record.state, "finished");
  assert.deepEqual((await listJob(storage, job))?.terms, [1]);
});

test("a process that has lost a job learns it at its next change, which no one sees", async () => {
  const { storage, job } = await jobOf({ owner: DEAD });
  const first = await Journal.takeOver(storage, job, STALE_MS, UNSIGNED);
  const second = await Journal.takeOver(storage, job, STALE_MS, UNSIGNED);
  await second.update((record) => {
    record.state = "undoing";
  });
  assert.ok(!first.lost.aborted);
  const late = first.update((record) => {
    record.state = "finished";
  });
  await assert.rejects(late, { code: "JobRunning", object: job });
  assert.ok(first.lost.aborted);
  assert.equal((await readJournal(storage, job, UNSIGNED))?.state, "undoing");
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
  const record = await readJournal(storage, job, UNSIGNED);
  assert.ok(String(said).includes(`taken by ${record?.owner}`), `${record?.owner} of ${said}`);
  assert.deepEqual((await listJob(storage, job))?.terms, [1, 2]);
});
