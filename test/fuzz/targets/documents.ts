import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openVolume } from "../../../agent/nbd/open-volume.js";
import { loadVolume } from "../../../agent/restore/load-volume.js";
import { acceptJob } from "../../../agent/serve/accept-job.js";
import { isAlive, Journal } from "../../../controller/journal.js";
import { readJournals } from "../../../controller/read-journals.js";
import { backupPage } from "../../../report/backup-page.js";
import { readFigures, writeFigures } from "../../../report/job-figures.js";
import {
  condemn,
  listCondemnations,
  readNoticed,
  recordRuns,
  writeNoticed,
} from "../../../repository/condemnation.js";
import { readConfig } from "../../../repository/config.js";
import { readJobWorker, writeJob } from "../../../repository/jobs/job.js";
import { jobKey, journalKey } from "../../../repository/jobs/job-key.js";
import { readResult, writeResult } from "../../../repository/jobs/job-result.js";
import { readStatus, writeStatus } from "../../../repository/jobs/job-status.js";
import { isLeaseAlive, Lease, listLeases } from "../../../repository/lease.js";
import { loadIndex } from "../../../repository/load-index.js";
import { findPoint, listPoints, pointKey } from "../../../repository/recovery-point.js";
import { openRepository } from "../../../repository/repository.js";
import { sealJson } from "../../../repository/sealed-json.js";
import type { Storage } from "../../../repository/storage/storage.js";
import { readVerifyCursor, writeVerifyCursor } from "../../../repository/verify-cursor.js";
import { planOf } from "../../controller/plans.js";
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

/** A kind of document: how a real one comes about, and what reads it. */
interface DocumentKind {
  name: string;
  /** @returns keys of real ones */
  write(sample: Sample): Promise<string[]>;
  read(sample: Sample): Promise<unknown>;
}

/** Every document of a repository with its body changed, and the seal right; in an encrypted repository also encrypted anew. */
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

/** The object with its seal or its tag, which refuses nearly all. */
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
      await writeStatus(storage, { version: 1, job: JOB, worker: WORKER, ...state });
      return [jobKey(JOB, "status")];
    },
    read: ({ storage }) => readStatus(storage, JOB),
  },
  {
    name: "result",
    write: async ({ storage }) => {
      const error = { code: "StorageFull", message: "m", remedy: "r", object: "o", offset: 3 } as const;
      const result = { version: 1, job: JOB, worker: WORKER, finishedAt: NOW } as const;
      await writeResult(storage, { ...result, outcome: { ok: false, error } });
      return [jobKey(JOB, "result")];
    },
    read: ({ storage }) => readResult(storage, JOB),
  },
  {
    name: "figures",
    write: async ({ storage }) => {
      await writeFigures(storage, JOB, someFigures(POINT));
      return [jobKey(JOB, "figures")];
    },
    read: async ({ storage }) => {
      const figures = await readFigures(storage, JOB, { point: POINT, machine: INSTANCE.instanceId });
      if (figures !== undefined) backupPage(figures);
    },
  },
  {
    name: "journal",
    write: async ({ storage }) => {
      const { record } = await Journal.create(storage, planOf(), ["first", "second"]);
      return [journalKey(record.job, 1)];
    },
    read: async ({ storage }) => {
      const { records, problems } = await readJournals(storage);
      for (const { code, message } of problems) assert.notEqual(code, "Unexpected", message);
      return records.map((record) => isAlive(record, 60_000));
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
      return (await listCondemnations(storage)).map(({ id }) => `prune/${id}.json`);
    },
    read: async ({ storage }) => {
      await loadIndex(storage, { condemned: "last" });
      await loadIndex(storage, { condemned: "exclude" });
    },
  },
  {
    name: "runs waited for",
    write: async ({ storage }) => {
      await recordRuns(storage, ID, "witnesses");
      return [`prune/${ID}-witnesses.json`];
    },
    read: ({ storage }) => recordRuns(storage, ID, "witnesses"),
  },
  {
    name: "packs noticed",
    write: async ({ storage }) => {
      await writeNoticed(storage, { [PACK]: NOW });
      return ["prune/noticed.json"];
    },
    read: ({ storage }) => readNoticed(storage),
  },
  {
    name: "verify cursor",
    write: async ({ storage }) => {
      await writeVerifyCursor(storage, { next: PACK, lapBeganAt: NOW, readSince: null });
      return ["verify/cursor.json"];
    },
    read: ({ storage }) => readVerifyCursor(storage),
  },
];

/** What list, restore and nbd make of a point. Of its volumes the first alone: what there is to read grows with their number and size. */
async function readPoint({ storage }: Sample): Promise<void> {
  await listPoints(storage);
  await tolerate(() => findPoint(storage, "2026"));
  const point = await findPoint(storage, "latest");
  const [volume] = point.volumes;
  if (volume === undefined) return;
  await tolerate(async () =>
    loadVolume(storage, await loadIndex(storage, { condemned: "last" }), volume, "zeros"),
  );
  await tolerate(() => openVolume(storage, point, volume));
}

async function readsJob({ storage, config }: Sample): Promise<void> {
  await tolerate(() => readJobWorker(storage, JOB));
  await tolerate(() => readJob(storage, JOB));
  await acceptJob(storage, JOB, { worker: WORKER, repository: config.id, history: "new", key: undefined });
}

async function readLeases({ storage }: Sample): Promise<void> {
  for (const lease of await listLeases(storage)) await isLeaseAlive(storage, lease);
}

async function packIds(storage: Storage): Promise<string[]> {
  return (await storage.list("packs/")).map(({ key }) => key.slice(-32));
}
