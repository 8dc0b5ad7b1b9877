import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { BlockferryError } from "../../../foundation/errors.js";
import type { ByteRange } from "../../../native-free-io/data-ranges.js";
import { MAX_BAD_RANGES } from "../../../repository/format/object-bounds.js";
import {
  MAX_VOLUME_BYTES,
  MAX_VOLUMES,
  newPointId,
  pointKey,
  type RecoveryPoint,
} from "../../../repository/format/recovery-point.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { listPoints, writePoint } from "../../../repository/points/points.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { INSTANCE, jobVolume } from "../../support/jobs.js";
import { tempFolder } from "../../support/temp-folder.js";

const REPOSITORY = randomUUID();

function makePoint(createdAt: string, fields: Partial<RecoveryPoint> = {}): RecoveryPoint {
  return {
    version: 1,
    id: newPointId(new Date(createdAt)),
    repository: REPOSITORY,
    startedAt: createdAt,
    createdAt,
    hostname: "worker",
    tags: {},
    volumes: [],
    stats: { sourceBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    ...fields,
  };
}

/** Makes a storage with a point for each time, in this order. */
async function storageWith(
  ...times: string[]
): Promise<{ storage: LocalDirectory; points: RecoveryPoint[] }> {
  const storage = new LocalDirectory(await tempFolder());
  const points = times.map((time) => makePoint(time));
  for (const point of points) await writePoint(storage, point);
  return { storage, points };
}

async function flipByte(storage: LocalDirectory, key: string): Promise<void> {
  const bytes = await storage.get(key);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  await storage.put(key, bytes);
}

const instant = fc
  .date({ min: new Date("2020-01-01T00:00:00Z"), max: new Date("2026-11-20T00:00:00Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const plain = { noNullPrototype: true };
const volume = fc
  .record(
    {
      name: fc.string(),
      source: fc.string({ unit: "grapheme" }),
      sizeBytes: fc.maxSafeNat().map((size) => size % (MAX_VOLUME_BYTES + 1)),
      root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => Buffer.from(id).toString("hex")),
      cuts: fc.uniqueArray(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
    },
    plain,
  )
  .map(({ cuts, ...fields }) => ({ ...fields, badRanges: rangesBetween(cuts, fields.sizeBytes) }));
/** Returns every second range between the cuts of a volume, without empty ranges. */
function rangesBetween(cuts: number[], sizeBytes: number): ByteRange[] {
  const places = cuts.map((cut) => Math.floor(cut * sizeBytes)).sort((a, b) => a - b);
  const ranges = places.map((offset, cut) => ({ offset, length: (places[cut + 1] ?? sizeBytes) - offset }));
  return ranges.filter(({ length }, cut) => cut % 2 === 0 && length > 0);
}

/** Not `__proto__`, which zod leaves out of every record. */
const tagName = fc.string({ minLength: 1 }).filter((name) => name !== "__proto__");
const pointFields = fc.record({
  hostname: fc.string(),
  tags: fc.dictionary(tagName, fc.string({ unit: "grapheme" }), {
    noNullPrototype: true,
  }),
  volumes: fc.uniqueArray(volume, { maxLength: 3, selector: ({ name }) => name }),
});

test("recovery points of any content are listed oldest first, each as it was written", async () => {
  const folder = await tempFolder();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(instant, pointFields), { maxLength: 6 }), async (specs) => {
      const storage = new LocalDirectory(join(folder, String(run++)));
      const points = specs.map(([time, fields]) => makePoint(time, fields));
      for (const point of points) await writePoint(storage, point);
      const list = await listPoints(storage);
      assert.deepEqual(list.damaged, []);
      const byAge = points.toSorted((a, b) =>
        a.createdAt === b.createdAt ? (a.id < b.id ? -1 : 1) : a.createdAt < b.createdAt ? -1 : 1,
      );
      assert.deepEqual(list.points, byAge);
      for (const point of points) assert.deepEqual(await findPoint(storage, point.id), point);
      const newest = byAge.at(-1);
      if (newest === undefined) return;
      assert.deepEqual(await findPoint(storage, "latest", { filter: { host: newest.hostname } }), newest);
    }),
    { numRuns: 40 },
  );
});

test("a point is found by the beginning of its id if only one id starts with it", async () => {
  const { storage, points } = await storageWith("2026-11-23T11:21:50.000Z", "2026-11-24T01:00:00.000Z");
  assert.deepEqual(await findPoint(storage, "20261123"), points[0]);
  assert.deepEqual(await findPoint(storage, "20261124T"), points[1]);
  await assert.rejects(findPoint(storage, "202611"), { code: "PointNotFound", message: /2 recovery points/ });
  await assert.rejects(findPoint(storage, "2027"), { code: "PointNotFound" });
});

test("an empty repository has no latest point", async () => {
  const { storage } = await storageWith();
  assert.deepEqual((await listPoints(storage)).points, []);
  await assert.rejects(findPoint(storage, "latest"), { code: "PointNotFound" });
});

test("a point of a job keeps everything that is needed to recreate the instance and its volumes", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const { name, sizeBytes, origin } = jobVolume(0, 4096);
  const kept = { name, source: "/dev/nvme1n1", sizeBytes, root: "00".repeat(32), badRanges: [], ebs: origin };
  const job = "job-20261123T112150Z-3f9a1c2b";
  const point = makePoint("2026-11-23T11:21:50.000Z", { volumes: [kept], instance: INSTANCE, job });
  await writePoint(storage, point);
  assert.deepEqual(await findPoint(storage, "latest"), point);
});

test("a point of the same id is never overwritten", async () => {
  const { storage, points } = await storageWith("2026-11-23T11:21:50.000Z");
  const [point] = points as [RecoveryPoint];
  await assert.rejects(writePoint(storage, { ...point, hostname: "another" }), { code: "ObjectExists" });
  assert.equal((await findPoint(storage, point.id)).hostname, "worker");
});

test("latest passes over a damaged newer point and names it; a damaged older one is not mentioned", async () => {
  const times = ["2026-11-21T00:00:00.000Z", "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z"];
  const { storage, points } = await storageWith(...times);
  const [oldest, middle, newest] = points as [RecoveryPoint, RecoveryPoint, RecoveryPoint];
  await flipByte(storage, pointKey(oldest.id));
  const named: unknown[] = [];
  const onPassedOver = (errors: BlockferryError[]) => named.push(...errors.map(({ object }) => object));
  assert.deepEqual(await findPoint(storage, "latest", { onPassedOver }), newest);
  assert.deepEqual(named, []);
  await flipByte(storage, pointKey(newest.id));
  const damaged = { code: "ObjectCorrupt", object: pointKey(newest.id) };
  assert.deepEqual(await findPoint(storage, "latest", { onPassedOver }), middle);
  assert.deepEqual(named, [pointKey(newest.id)]);
  await assert.rejects(findPoint(storage, newest.id), damaged);
  await assert.rejects(findPoint(storage, newest.id.slice(0, 8)), damaged);
  assert.deepEqual(await findPoint(storage, middle.id), middle);
  const list = await listPoints(storage);
  assert.deepEqual(list.points, [middle]);
  assert.deepEqual(
    list.damaged.map(({ object }) => object),
    [pointKey(oldest.id), pointKey(newest.id)],
  );
});

test("when every point is damaged, the error of latest names the damage", async () => {
  const { storage, points } = await storageWith("2026-11-23T11:21:50.000Z");
  await flipByte(storage, pointKey((points[0] as RecoveryPoint).id));
  await assert.rejects(findPoint(storage, "latest"), { code: "ObjectCorrupt" });
});

test("a renamed or copied point is not taken for another", async () => {
  const { storage, points } = await storageWith("2026-11-23T11:21:50.000Z");
  const [point] = points as [RecoveryPoint];
  const copy = "points/20270101T000000Z-00000000.json";
  await rename(join(storage.name, pointKey(point.id)), join(storage.name, copy));
  const { points: listed, damaged } = await listPoints(storage);
  assert.deepEqual(listed, []);
  assert.deepEqual(
    damaged.map(({ code, object }) => ({ code, object })),
    [{ code: "ObjectCorrupt", object: copy }],
  );
});

test("a point with an unknown field or version, or a field out of bounds, is refused and named", async () => {
  const folder = await tempFolder();
  const good = makePoint("2026-11-23T11:21:50.000Z");
  const volume = { name: "a", source: "b", sizeBytes: 1, root: "00".repeat(32), badRanges: [] };
  const range = (offset: number, length: number) => ({ offset, length });
  const ranges = (count: number) => Array.from({ length: count }, (_, number) => range(2 * number, 1));
  const withBad = (badRanges: ByteRange[]) => ({ ...volume, sizeBytes: 2 * MAX_BAD_RANGES, badRanges });
  const volumesOf = (count: number, sizeBytes: number, badRanges: ByteRange[] = []) =>
    Array.from({ length: count }, (_, number) => ({ ...volume, name: `v${number}`, sizeBytes, badRanges }));
  const refused: Record<string, unknown> = {
    "an unknown version": { ...good, version: 2 },
    "an unknown field": { ...good, retention: "1d" },
    "an unknown field of a volume": { ...good, volumes: [{ ...volume, device: "x" }] },
    "a missing field": { ...good, hostname: undefined },
    "a negative size": { ...good, volumes: [{ ...volume, sizeBytes: -1 }] },
    "a size that is no whole number": { ...good, volumes: [{ ...volume, sizeBytes: 0.5 }] },
    "a root that is no id": { ...good, volumes: [{ ...volume, root: "00" }] },
    "an instance with an unknown field": { ...good, instance: { ...INSTANCE, password: "x" } },
    "an EBS volume without its size": { ...good, volumes: [{ ...volume, ebs: { volumeId: "vol-1" } }] },
    "two volumes of one name": { ...good, volumes: [volume, { ...volume, sizeBytes: 2 }] },
    "a bad range beyond the end": { ...good, volumes: [withBad([range(0, 2 * MAX_BAD_RANGES + 1)])] },
    "a bad range far beyond the end": { ...good, volumes: [withBad([range(9e15, 9e15)])] },
    "a bad range of nothing": { ...good, volumes: [withBad([range(0, 0)])] },
    "bad ranges that overlap": { ...good, volumes: [withBad([range(0, 4), range(3, 4)])] },
    "bad ranges out of order": { ...good, volumes: [withBad([range(4, 1), range(0, 1)])] },
    "too large a volume": { ...good, volumes: [{ ...volume, sizeBytes: MAX_VOLUME_BYTES + 1 }] },
    "too many volumes": { ...good, volumes: volumesOf(MAX_VOLUMES + 1, 1) },
    "volumes that are too large in all": { ...good, volumes: volumesOf(32, MAX_VOLUME_BYTES) },
    "too many bad ranges": {
      ...good,
      volumes: [withBad(ranges(MAX_BAD_RANGES)), ...volumesOf(1, 1, [range(0, 1)])],
    },
    "a time that is none": { ...good, createdAt: "yesterday" },
  };
  const storage = new LocalDirectory(folder);
  for (const [what, body] of Object.entries(refused)) {
    await storage.put(pointKey(good.id), sealJson(body));
    const error = { code: "RepositoryUnsupported", object: pointKey(good.id) };
    await assert.rejects(findPoint(storage, good.id), error, what);
    await assert.rejects(findPoint(storage, "latest"), error, what);
  }
  const most = [
    [withBad([range(0, 1), range(1, 2 * MAX_BAD_RANGES - 1)])],
    [withBad(ranges(MAX_BAD_RANGES)), ...volumesOf(1, 1)],
    volumesOf(MAX_VOLUMES, 1),
    [...volumesOf(31, MAX_VOLUME_BYTES), { ...volume, sizeBytes: MAX_VOLUME_BYTES - 1 }],
  ];
  for (const volumes of most) {
    await storage.put(pointKey(good.id), sealJson({ ...good, volumes }));
    assert.deepEqual((await findPoint(storage, "latest")).volumes, volumes);
  }
});

test("a point of version 3 is read without its unknown fields, wherever they are", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const { name, sizeBytes, origin } = jobVolume(0, 4096);
  const badRanges = [{ offset: 0, length: 512 }];
  const volume = { name, source: "/dev/nvme1n1", sizeBytes, root: "00".repeat(32), badRanges, ebs: origin };
  const point = makePoint("2026-11-23T11:21:50.000Z", {
    ...{ version: 3, previous: { id: "20261122T112150Z-3f9a1c2b", sha256: "ab".repeat(32) } },
    ...{ volumes: [volume], instance: INSTANCE, requires: [] },
    lock: { mode: "governance", until: "2026-12-23T11:21:50.000Z" },
  });
  const later = {
    ...{ ...point, more: { a: 1 }, previous: { ...point.previous, more: 1 } },
    ...{ instance: { ...INSTANCE, more: 1 }, lock: { ...point.lock, more: 1 } },
    stats: { ...point.stats, more: 1 },
    volumes: [
      { ...volume, more: 1, ebs: { ...origin, more: 1 }, badRanges: [{ offset: 0, length: 512, more: 1 }] },
    ],
  };
  await storage.put(pointKey(point.id), sealJson(later));
  assert.deepEqual(await findPoint(storage, "latest"), point);
});

test("a point that requires an unknown feature is named as one of a later version, and the others are read", async () => {
  const { storage, points } = await storageWith("2026-11-23T11:21:50.000Z", "2026-11-24T01:00:00.000Z");
  const [older, newer] = points as [RecoveryPoint, RecoveryPoint];
  const later = { ...newer, version: 4, volumes: "in another form", requires: ["sparse-maps"] };
  await storage.put(pointKey(newer.id), sealJson(later));
  const { points: listed, damaged } = await listPoints(storage);
  assert.deepEqual(listed, [older]);
  const [error] = damaged;
  assert.deepEqual([error?.code, error?.object], ["RepositoryUnsupported", pointKey(newer.id)]);
  assert.match(error?.message ?? "", /later version of blockferry: reading it needs sparse-maps/);
  await assert.rejects(findPoint(storage, "latest"), { code: "RepositoryUnsupported" });
});

test("a storage that cannot be read is a failure, not an empty list", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "points", "x.json"), { recursive: true });
  await rm(join(folder, "points"), { recursive: true });
  const storage = new LocalDirectory(folder);
  await storage.put("points", Buffer.from("a file where a folder belongs"));
  await assert.rejects(listPoints(storage), { code: "StorageFailed" });
});
