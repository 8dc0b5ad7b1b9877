import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rename, truncate } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { newJobId, readJobWorker, writeJob } from "../../../repository/jobs/job.js";
import { jobKey, journalKey, listJob, listJobs } from "../../../repository/jobs/job-key.js";
import {
  isCancelled,
  type JobResult,
  type JobStatus,
  readResult,
  readStatus,
  requestCancel,
  writeResult,
  writeStatus,
} from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { jobVolume, makeJob, readJob, WORKER } from "../../support/jobs.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const newJob = () => makeJob(randomUUID(), [jobVolume(0, MIB), jobVolume(1, 2 * MIB)]);
const newStorage = async () => new LocalDirectory(await tempFolder());

test("a job is read as it was written, and never replaced", async () => {
  const storage = await newStorage();
  const job = newJob();
  await writeJob(storage, job);
  assert.deepEqual(await readJob(storage, job.id), job);
  assert.equal(await readJobWorker(storage, job.id), WORKER);
  await assert.rejects(writeJob(storage, { ...job, tags: {} }), { code: "ObjectExists" });
});

test("ids of jobs sort by time", () => {
  const ids = ["2026-11-23T11:21:50Z", "2026-11-23T11:21:51Z", "2027-01-01T00:00:00Z"].map((time) =>
    newJobId(new Date(time)),
  );
  assert.match(ids[0] ?? "", /^job-20261123T112150Z-[0-9a-f]{8}$/);
  assert.deepEqual(ids.toSorted(), ids);
});

test("a job with an unknown version or field, or a field out of bounds, is refused, but still names its worker", async () => {
  const good = newJob();
  const [volume] = good.volumes;
  assert.ok(volume !== undefined);
  const withVolume = (fields: object) => ({ ...good, volumes: [{ ...volume, ...fields }] });
  const refused: Record<string, unknown> = {
    "an unknown version": { ...good, version: 2 },
    "an unknown kind": { ...good, kind: "restore" },
    "an unknown field": { ...good, priority: 1 },
    "no volume": { ...good, volumes: [] },
    "two volumes of one name": { ...good, volumes: [volume, { ...jobVolume(1, MIB), name: volume.name }] },
    "one volume twice": { ...good, volumes: [volume, { ...jobVolume(1, MIB), volumeId: volume.volumeId }] },
    "one device twice": {
      ...good,
      volumes: [volume, { ...jobVolume(1, MIB), attachName: volume.attachName }],
    },
    "a volume of no bytes": withVolume({ sizeBytes: 0 }),
    "a name with a slash": withVolume({ name: "../root" }),
    "a volume id that is none": withVolume({ volumeId: "snap-1" }),
    "an attach name outside /dev": withVolume({ attachName: "/dev/../etc/shadow" }),
    "the attach name of the worker's root": withVolume({ attachName: "/dev/sda1" }),
    "an unknown option": { ...good, options: { ...good.options, dryRun: true } },
    "a report that is no wish for one": { ...good, options: { ...good.options, report: "page.html" } },
    "an unknown choice of storage": { ...good, options: { ...good.options, storage: { acl: "public" } } },
    "a key for a server's own encryption": {
      ...good,
      options: { ...good.options, storage: { encryption: { algorithm: "AES256", kmsKey: "arn:x" } } },
    },
    "no thread": { ...good, options: { ...good.options, threads: 0 } },
    "an instance without its type": { ...good, instance: { ...good.instance, instanceType: undefined } },
    "a time that is none": { ...good, expiresAt: "tomorrow" },
  };
  const storage = await newStorage();
  for (const [what, body] of Object.entries(refused)) {
    await storage.put(jobKey(good.id, "job"), sealJson(body));
    const error = { code: "RepositoryUnsupported", object: jobKey(good.id, "job") };
    await assert.rejects(readJob(storage, good.id), error, what);
    assert.equal(await readJobWorker(storage, good.id), WORKER, what);
  }
});

test("a damaged or copied job is refused", async () => {
  const storage = await newStorage();
  const job = newJob();
  const key = jobKey(job.id, "job");
  const bytes = sealJson(job);
  bytes[20] = (bytes[20] as number) ^ 1;
  await storage.put(key, bytes);
  await assert.rejects(readJob(storage, job.id), { code: "ObjectCorrupt", object: key });
  assert.equal(await readJobWorker(storage, job.id), WORKER);
  await storage.put(key, bytes.subarray(0, 100));
  assert.equal(await readJobWorker(storage, job.id), undefined);
  await storage.put(key, sealJson(job));
  const copy = newJobId(new Date());
  await rename(join(storage.name, "jobs", job.id), join(storage.name, "jobs", copy));
  await assert.rejects(readJob(storage, copy), { code: "ObjectCorrupt", object: jobKey(copy, "job") });
});

test("a heartbeat replaces the previous one; without any, reading returns undefined", async () => {
  const storage = await newStorage();
  const job = newJobId(new Date());
  assert.equal(await readStatus(storage, job, UNSIGNED_REPLIES), undefined);
  const status: JobStatus = {
    ...{
      version: 1,
      job,
      worker: WORKER,
      state: "running",
      sequence: 1,
      updatedAt: new Date().toISOString(),
    },
    ...{ totalBytes: 10, doneBytes: 5, zeroBytes: 1, duplicateBytes: 2, newBytes: 2, storedBytes: 1 },
  };
  await writeStatus(storage, status, UNSIGNED_REPLIES);
  await writeStatus(storage, { ...status, sequence: 2 }, UNSIGNED_REPLIES);
  assert.deepEqual(await readStatus(storage, job, UNSIGNED_REPLIES), { ...status, sequence: 2 });
});

const RELIANCE = {
  ...{ knownBytes: 4, unreadBytes: 3, provenBytes: 2, storedAgainBytes: 1 },
  alarms: ["Pack 0 is wrong."],
};

test("a result with reliance that is out of bounds is refused", async () => {
  const storage = await newStorage();
  for (const [reliance, isGood] of [
    [RELIANCE, true],
    [{ ...RELIANCE, unreadBytes: -1 }, false],
    [{ ...RELIANCE, knownBytes: 2 ** 53 }, false],
    [{ ...RELIANCE, more: 1 }, false],
    [{ ...RELIANCE, alarms: ["x".repeat(1001)] }, false],
    [{ ...RELIANCE, alarms: Array(101).fill("x") }, false],
  ] as const) {
    const job = newJobId(new Date());
    const finishedAt = new Date().toISOString();
    const outcome = { ok: true, point: "20261123T112150Z-3f9a1c2b", reliance };
    await storage.put(
      jobKey(job, "result"),
      sealJson({ version: 1, job, worker: WORKER, finishedAt, outcome }),
    );
    const reading = readResult(storage, job, UNSIGNED_REPLIES);
    if (isGood) assert.deepEqual((await reading)?.outcome, outcome);
    else await assert.rejects(reading, { code: "RepositoryUnsupported" });
  }
});

test("a result is written once, whether it is a point or an error", async () => {
  const storage = await newStorage();
  const finishedAt = new Date().toISOString();
  const error = {
    code: "DeviceNotFound",
    message: "Not there.",
    remedy: "Attach it.",
    object: "vol-1",
  } as const;
  for (const outcome of [
    { ok: true, point: "20261123T112150Z-3f9a1c2b" },
    { ok: true, point: "20261123T112150Z-3f9a1c2b", reliance: RELIANCE },
    { ok: false, error },
  ] as const) {
    const job = newJobId(new Date());
    assert.equal(await readResult(storage, job, UNSIGNED_REPLIES), undefined);
    const result: JobResult = { version: 1, job, worker: WORKER, finishedAt, outcome };
    await writeResult(storage, result, UNSIGNED_REPLIES);
    assert.deepEqual(await readResult(storage, job, UNSIGNED_REPLIES), result);
    await assert.rejects(writeResult(storage, result, UNSIGNED_REPLIES), { code: "ObjectExists" });
  }
});

test("a cancellation is there from the moment it is asked for, whatever its object holds", async () => {
  const storage = await newStorage();
  const [asked, byHand, huge, other] = Array.from({ length: 4 }, () => newJobId(new Date())) as [
    ...[string, string, string, string],
  ];
  await requestCancel(storage, asked);
  await requestCancel(storage, asked);
  await storage.put(jobKey(byHand, "cancel"), Buffer.from(""));
  assert.equal(await isCancelled(storage, asked), true);
  assert.equal(await isCancelled(storage, byHand), true);
  await storage.put(jobKey(huge, "cancel"), Buffer.from(""));
  await truncate(join(storage.name, jobKey(huge, "cancel")), 2 ** 40);
  assert.equal(await isCancelled(storage, huge), true);
  assert.equal(await isCancelled(storage, other), false);
});

test("jobs are listed oldest first, each with its existing documents, and nothing else is taken for one", async () => {
  const storage = await newStorage();
  const [first, second] = ["2026-11-23T11:21:50Z", "2026-11-24T00:00:00Z"].map((time) =>
    newJobId(new Date(time)),
  ) as [string, string];
  for (const key of [
    ...[jobKey(second, "job"), jobKey(second, "cancel"), journalKey(first, 10), jobKey(first, "result")],
    ...[journalKey(first, 1), journalKey(first, 2), `jobs/${first}/journal-0.json`],
    ...["jobs/README", "jobs/other/job.json", `jobs/${first}/notes.txt`, `jobs/${first}/more/job.json`],
  ]) {
    await storage.put(key, Buffer.from("{}"));
  }
  assert.deepEqual(await listJobs(storage), [
    { id: first, objects: new Set(["result"]), terms: [1, 2, 10] },
    { id: second, objects: new Set(["cancel", "job"]), terms: [] },
  ]);
  assert.deepEqual((await listJob(storage, first))?.terms, [1, 2, 10]);
  assert.equal(await listJob(storage, newJobId(new Date())), undefined);
});
