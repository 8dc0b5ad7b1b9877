import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openVolume } from "../../../agent/nbd/volume-reader.js";
import { loadVolume } from "../../../agent/restore/load-volume.js";
import { acceptJob, readUnprovenJob } from "../../../agent/service/accept-job.js";
import { repliesTo } from "../../../agent/service/reply-to.js";
import { verifyHistory } from "../../../agent/verify/verify-history.js";
import { Journal, seemsAlive } from "../../../controller/run/journal.js";
import { readJournals } from "../../../controller/run/read-journals.js";
import { readFigures, writeFigures } from "../../../report/backup-figures.js";
import { backupPage } from "../../../report/backup-page.js";
import { pointKey } from "../../../repository/format/recovery-point.js";
import { sealJson, unsealText } from "../../../repository/format/sealed-json.js";
import { loadIndex } from "../../../repository/index/load-index.js";
import { StoredChunks } from "../../../repository/index/stored-chunks.js";
import { readJobWorker, writeJob } from "../../../repository/jobs/job.js";
import { jobKey, journalKey } from "../../../repository/jobs/job-key.js";
import { readResult, readStatus, writeResult, writeStatus } from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { expectationOf } from "../../../repository/open/expectation.js";
import { readConfig } from "../../../repository/open/open-config.js";
import { openRepository } from "../../../repository/open/repository.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { listPoints } from "../../../repository/points/points.js";
import { forgetPoint, tombstoneKey } from "../../../repository/points/tombstone.js";
import {
  condemn,
  listCondemnations,
  readNoticed,
  runsToWaitFor,
  writeNoticed,
} from "../../../repository/protocol/condemnation.js";
import { isLeaseAlive, Lease, listLeases } from "../../../repository/protocol/lease.js";
import type { Storage } from "../../../repository/storage/storage.js";
import { planOf, SOURCE_KEY, UNSIGNED } from "../../controller/plans.js";
import { someFigures } from "../../support/figures.js";
import { INSTANCE, jobVolume, makeJob, readJob, WORKER } from "../../support/jobs.js";
import { mutateJson } from "../mutate-json.js";
import { copySample, type Sample, type SampleKind } from "../sample.js";
import { type FuzzTarget, tolerate } from "../target.js";

const JOB = "job-20261123T112150Z-3f9a1c2b";
const POINT = "20261123T112150Z-3f9a1c2b";
const PACK = "0123456789abcdef0123456789abcdef";
const NOW = "2026-11-23T11:21:50.000Z";
const ID = "0123456789abcdef";

/** A kind of document: a function that writes a real one, and its reader. */
interface DocumentKind {
  name: string;
  /** Writes real documents. @returns their keys */
  write(sample: Sample): Promise<string[]>;
  read(sample: Sample): Promise<unknown>;
}

/**
 * Documents of a repository with changed bodies and valid seals; also encrypted again in an encrypted
 * repository.
 */
export function documentTargets(folder: string): Promise<FuzzTarget>[] {
  const inPlain = KINDS.filter(({ name }) => name !== "key").map((kind) =>
    sealedTarget(folder, kind, "plain"),
  );
  const inEncrypted = KINDS.filter(({ name }) => ["key", "point", "config"].includes(name)).flatMap(
    (kind) => [sealedTarget(folder, kind, "encrypted")],
  );
  const point = KINDS.filter(({ name }) => name === "point");
  const asTheyAre = point.flatMap((kind) => [
    asItIs(folder, kind, "plain"),
    asItIs(folder, kind, "encrypted"),
  ]);
  return [...inPlain, ...inEncrypted, ...asTheyAre];
}

const BODY_START = sealJson(0).indexOf("0}\n");

async function sealedTarget(folder: string, kind: DocumentKind, sampleKind: SampleKind): Promise<FuzzTarget> {
  const name = `${kind.name}, ${sampleKind}`;
  const sample = await copySample(folder, sampleKind, name);
  const [key = "", ...others] = await kind.write(sample);
  const bodyOf = async (from: string) => (await sample.storage.get(from)).subarray(BODY_START, -2);
  const seeds = await Promise.all([key, ...others].map(bodyOf));
  for (const other of others) await sample.remove(other);
  return {
    name,
    seeds,
    mutate: mutateJson,
    run: async (input) => {
      await sample.replace(key, encrypted(sample.storage, key, sealText(input.toString("utf8"))));
      await kind.read(sample);
    },
  };
}

/** The object including its seal or tag, which rejects nearly every change. */
async function asItIs(folder: string, kind: DocumentKind, sampleKind: SampleKind): Promise<FuzzTarget> {
  const name = `${kind.name} as it is, ${sampleKind}`;
  const sample = await copySample(folder, sampleKind, name);
  const [key = ""] = await kind.write(sample);
  return {
    name,
    seeds: [encrypted(sample.storage, key, await sample.storage.get(key))],
    run: async (input) => {
      await sample.replace(key, input);
      await kind.read(sample);
    },
  };
}

function sealText(body: string): Buffer {
  const sha256 = createHash("sha256").update(body, "utf8").digest("hex");
  return Buffer.from(`{"sha256":"${sha256}","body":${body}}\n`, "utf8");
}

function encrypted(storage: Storage, key: string, bytes: Buffer): Buffer {
  return /^(config|keys)/.test(key) ? bytes : storage.cipher.encryptObject(key, bytes);
}

const KINDS: DocumentKind[] = [
  {
    name: "config",
    write: async () => ["config.json"],
    read: ({ storage }) => readConfig(storage),
  },
  {
    name: "key",
    write: async ({ storage }) => (await storage.list("keys/")).map(({ key }) => key),
    read: async ({ location: { key: _, ...location } }) => openRepository(location),
  },
  {
    name: "point",
    write: async ({ storage }) => [pointKey((await findPoint(storage, "latest")).id)],
    read: readPoint,
  },
  {
    name: "tombstone",
    write: async ({ storage }) => {
      const { id } = await findPoint(storage, "latest");
      await forgetPoint(storage, { version: 3 }, id);
      const body = JSON.parse(unsealText(await storage.get(tombstoneKey(id)), id));
      const signature = { keyArn: SOURCE_KEY, mac: Buffer.alloc(32, 7).toString("base64") };
      await storage.put(tombstoneKey(id), sealJson({ ...body, signature }));
      return [tombstoneKey(id)];
    },
    read: async ({ storage }) => {
      const { problems } = await verifyHistory(storage, await listPoints(storage), undefined);
      for (const { code, message } of problems) assert.notEqual(code, "Unexpected", message);
    },
  },
  {
    name: "job",
    write: async ({ storage, config }) => {
      const volumes = [jobVolume(0, 2 ** 30), jobVolume(1, 2 ** 20)];
      const storageClass = "STANDARD" as const;
      const lock = { mode: "governance" as const, until: NOW };
      const options = { compression: "lz4", threads: 2, queueDepth: null, badBlocks: "fail" } as const;
      const fields = { id: JOB, options: { ...options, lock, storage: { storageClass } } };
      await writeJob(storage, makeJob(config.id, volumes, fields));
      return [jobKey(JOB, "job")];
    },
    read: readsJob,
  },
  {
    name: "restore job",
    write: async ({ storage, config }) => {
      const { instance: _, tags: __, ...job } = makeJob(config.id, [], { id: JOB });
      const volumes = [{ name: "disk", volumeId: "vol-0123", sizeBytes: 2 ** 30, attachName: "/dev/sdf" }];
      await writeJob(storage, { ...job, kind: "restore", point: "p", volumes, options: { threads: null } });
      return [jobKey(JOB, "job")];
    },
    read: readsJob,
  },
  {
    name: "status",
    write: async ({ storage }) => {
      const bytes = {
        totalBytes: 9,
        doneBytes: 8,
        zeroBytes: 1,
        duplicateBytes: 2,
        newBytes: 5,
        storedBytes: 3,
      };
      const starts = { count: 1, furthestBytes: 7 };
      const state = { state: "running", sequence: 3, updatedAt: NOW, starts, ...bytes } as const;
      const status = { version: 1, job: JOB, worker: WORKER, ...state } as const;
      await writeStatus(storage, status, UNSIGNED_REPLIES);
      return [jobKey(JOB, "status")];
    },
    read: ({ storage }) => readStatus(storage, JOB, UNSIGNED_REPLIES),
  },
  {
    name: "result",
    write: async ({ storage }) => {
      const error = { code: "StorageFull", message: "m", remedy: "r", object: "o", offset: 3 } as const;
      const result = { version: 1, job: JOB, worker: WORKER, finishedAt: NOW } as const;
      await writeResult(storage, { ...result, outcome: { ok: false, error } }, UNSIGNED_REPLIES);
      return [jobKey(JOB, "result")];
    },
    read: ({ storage }) => readResult(storage, JOB, UNSIGNED_REPLIES),
  },
  {
    name: "result of a backup",
    write: async ({ storage }) => {
      const figures = { knownBytes: 4, unreadBytes: 3, provenBytes: 2, storedAgainBytes: 1 };
      const reliance = { ...figures, alarms: ["a"] };
      const result = { version: 1, job: JOB, worker: WORKER, finishedAt: NOW } as const;
      await writeResult(
        storage,
        { ...result, outcome: { ok: true, point: POINT, reliance } },
        UNSIGNED_REPLIES,
      );
      return [jobKey(JOB, "result")];
    },
    read: ({ storage }) => readResult(storage, JOB, UNSIGNED_REPLIES),
  },
  {
    name: "figures",
    write: async ({ storage }) => {
      await writeFigures(storage, JOB, someFigures(POINT), UNSIGNED_REPLIES);
      return [jobKey(JOB, "figures")];
    },
    read: async ({ storage }) => {
      const expected = { point: POINT, machine: INSTANCE.instanceId };
      const figures = await readFigures(storage, JOB, expected, UNSIGNED_REPLIES);
      if (figures !== undefined) backupPage(figures);
    },
  },
  {
    name: "journal",
    write: async ({ storage }) => {
      const { record } = await Journal.create(storage, planOf(), ["first", "second"], UNSIGNED);
      return [journalKey(record.job, 1)];
    },
    read: async ({ storage }) => {
      const { records, problems } = await readJournals(storage, UNSIGNED);
      for (const { code, message } of problems) assert.notEqual(code, "Unexpected", message);
      return records.map((record) => seemsAlive(record, 60_000));
    },
  },
  {
    name: "lease",
    write: async ({ storage }) => {
      await (await Lease.acquire(storage, "backup")).release();
      const { record } = await Lease.acquire(storage, "read");
      return [`locks/${record.id}.json`];
    },
    read: readLeases,
  },
  {
    name: "sign of life",
    write: async ({ storage }) => {
      const { record } = await Lease.acquire(storage, "read");
      const key = `locks/${record.id}.beat`;
      await storage.put(key, sealJson({ at: NOW }));
      return [key];
    },
    read: readLeases,
  },
  {
    name: "condemnation",
    write: async ({ storage }) => {
      await condemn(storage, [PACK, ...(await packIds(storage))]);
      return (await listCondemnations(storage)).condemnations.map(({ id }) => `prune/${id}.json`);
    },
    read: async ({ storage }) => {
      await loadIndex(storage, { condemned: "last" });
      await loadIndex(storage, { condemned: "exclude" });
    },
  },
  {
    name: "runs waited for",
    write: async ({ storage }) => {
      await runsToWaitFor(storage, ID, "witnesses");
      return [`prune/${ID}-witnesses.json`];
    },
    read: ({ storage }) => runsToWaitFor(storage, ID, "witnesses"),
  },
  {
    name: "packs noticed",
    write: async ({ storage }) => {
      await writeNoticed(storage, { [PACK]: NOW });
      return ["prune/noticed.json"];
    },
    read: ({ storage }) => readNoticed(storage, []),
  },
];

/**
 * Reads a point as list, restore and nbd do. It reads only the first volume, because the time grows with
 * their number and size.
 */
async function readPoint({ storage }: Sample): Promise<void> {
  await listPoints(storage);
  await tolerate(() => findPoint(storage, "2026"));
  const point = await findPoint(storage, "latest");
  const [volume] = point.volumes;
  if (volume === undefined) return;
  await tolerate(async () =>
    loadVolume(await StoredChunks.load(storage, { condemned: "last" }), volume, "zeros"),
  );
  await tolerate(() => openVolume(storage, point, volume));
}

async function readsJob({ storage, config }: Sample): Promise<void> {
  await tolerate(() => readJobWorker(storage, JOB));
  await tolerate(() => readJob(storage, JOB));
  const place = { ...expectationOf(config), id: JOB, worker: WORKER };
  const text = await readUnprovenJob(storage, JOB);
  await repliesTo(text, place, undefined);
  await acceptJob(text, place, { history: async () => "new", key: undefined });
}

async function readLeases({ storage }: Sample): Promise<void> {
  for (const lease of (await listLeases(storage)).leases) await isLeaseAlive(storage, lease);
}

async function packIds(storage: Storage): Promise<string[]> {
  return (await storage.list("packs/")).map(({ key }) => key.slice(-32));
}
