import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { BlockferryError } from "../../../foundation/errors.js";
import { machineName, pointKey, type RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { findPoint, meetsFilter, type PointFilter } from "../../../repository/points/find-point.js";
import { writePoint } from "../../../repository/points/points.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { fullDepthOnly } from "../../support/depth.js";
import { jobVolume } from "../../support/jobs.js";
import { instanceOf, pointOf } from "../../support/machines.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";

const REPOSITORY = randomUUID();
const SHOP = "i-0aaaaaaaaaaaaaaa1";
const FARM = "i-0aaaaaaaaaaaaaaa2";

/** Counts the points that are read. */
class CountingDirectory extends LocalDirectory {
  reads = 0;

  override get(...args: Parameters<LocalDirectory["get"]>): ReturnType<LocalDirectory["get"]> {
    this.reads++;
    return super.get(...args);
  }
}

async function storageOf(...points: RecoveryPoint[]): Promise<CountingDirectory> {
  const storage = new CountingDirectory(await tempFolder());
  for (const point of points) await writePoint(storage, point);
  return storage;
}

function volume(name: string, volumeId?: string): RecoveryPoint["volumes"][number] {
  const { origin } = jobVolume(0, 4096);
  const ebs = volumeId === undefined ? {} : { ebs: { ...origin, volumeId } };
  return { name, source: "/dev/x", sizeBytes: 4096, root: "00".repeat(32), badRanges: [], ...ebs };
}

const of = (fields: Partial<RecoveryPoint>, ageSeconds: number) => pointOf(REPOSITORY, fields, ageSeconds);

test("latest is refused where points are of several machines, with the newest point of each", async () => {
  const points = [
    of({ hostname: "web1" }, 50),
    of({ hostname: "web1" }, 40),
    of({ instance: instanceOf(SHOP) }, 30),
    of({ instance: instanceOf(FARM) }, 20),
    of({ instance: instanceOf(SHOP) }, 10),
  ] as const;
  const storage = await storageOf(...points);
  await assert.rejects(
    findPoint(storage, "latest"),
    ({ code, message, details, remedy }: BlockferryError) => {
      assert.equal(code, "PointAmbiguous");
      assert.match(message, /3 machines/);
      assert.deepEqual(details, [
        `instance ${SHOP}: ${points[4].id}`,
        `instance ${FARM}: ${points[3].id}`,
        `host web1: ${points[1].id}`,
      ]);
      assert.match(remedy, /--instance ID or --host NAME/);
      return true;
    },
  );
  assert.deepEqual(await findPoint(storage, "latest", { filter: { instance: SHOP } }), points[4]);
  assert.deepEqual(await findPoint(storage, "latest", { filter: { host: "web1" } }), points[1]);
});

test("the error lists a bounded number of machines", async () => {
  const points = Array.from({ length: 30 }, (_, number) => of({ hostname: `web${number}` }, number));
  await assert.rejects(findPoint(await storageOf(...points), "latest"), ({ details }: BlockferryError) => {
    assert.equal(details?.length, 21);
    assert.match(details?.at(-1) ?? "", /10 more/);
    return true;
  });
});

test("points of one machine need no filter: an instance is one machine whichever workers made its points", async () => {
  const newest = of({ instance: instanceOf(SHOP), hostname: "worker-2" }, 10);
  const storage = await storageOf(of({ instance: instanceOf(SHOP), hostname: "worker-1" }, 20), newest);
  assert.deepEqual(await findPoint(storage, "latest"), newest);
  await assert.rejects(findPoint(storage, "latest", { filter: { host: "worker-2" } }), {
    code: "PointNotFound",
    message: /of host worker-2/,
  });
});

test("a host that is named like an instance is another machine", async () => {
  const planted = of({ hostname: SHOP }, 10);
  const own = of({ instance: instanceOf(SHOP) }, 20);
  const storage = await storageOf(own, planted);
  await assert.rejects(findPoint(storage, "latest"), { code: "PointAmbiguous" });
  assert.deepEqual(await findPoint(storage, "latest", { filter: { instance: SHOP } }), own);
  assert.deepEqual(await findPoint(storage, "latest", { filter: { host: SHOP } }), planted);
});

test("volumes and tags narrow points down, and leave latest ambiguous while they fit several machines", async () => {
  const tags = { env: "prod", empty: "" };
  const both = [volume("root", "vol-0a"), volume("data", "vol-0b")];
  const web = of({ hostname: "web1", tags, volumes: [volume("data")] }, 30);
  const shop = of({ instance: instanceOf(SHOP), tags, volumes: both }, 20);
  const farm = of({ instance: instanceOf(FARM), volumes: [volume("root", "vol-0c")] }, 10);
  const storage = await storageOf(web, shop, farm);
  const latest = (filter: PointFilter) => findPoint(storage, "latest", { filter });
  assert.deepEqual(await latest({ volumes: ["vol-0b"] }), shop);
  assert.deepEqual(await latest({ volumes: ["root", "data"] }), shop);
  assert.deepEqual(await latest({ volumes: ["vol-0c"] }), farm);
  assert.deepEqual(await latest({ tags, volumes: ["root"] }), shop);
  assert.deepEqual(await latest({ tags, host: "web1" }), web);
  for (const filter of [{ tags }, { volumes: ["root"] }, { volumes: ["data"] }, { tags: { empty: "" } }]) {
    await assert.rejects(latest(filter), { code: "PointAmbiguous" }, JSON.stringify(filter));
  }
  for (const filter of [
    { tags: { env: "" } },
    { tags: { toString: "x" } },
    { tags: { env: "prod", other: "" } },
    { volumes: ["root", "vol-0b", "none"] },
    { volumes: [""] },
    { host: "web1", instance: SHOP },
  ]) {
    await assert.rejects(latest(filter), { code: "PointNotFound" }, JSON.stringify(filter));
  }
});

test("a full id must match the filters, and they narrow down the beginning of an id", async () => {
  const shop = of({ instance: instanceOf(SHOP) }, 20);
  const web = of({ hostname: "web1" }, 20);
  const storage = await storageOf(shop, web);
  const filter = { instance: SHOP };
  assert.deepEqual(await findPoint(storage, shop.id, { filter }), shop);
  assert.deepEqual(await findPoint(storage, shop.id), shop);
  await assert.rejects(findPoint(storage, web.id, { filter }), {
    code: "PointNotFound",
    message: /of instance/,
  });
  const day = shop.id.slice(0, 4);
  await assert.rejects(findPoint(storage, day), {
    code: "PointNotFound",
    message: /2 recovery points start/,
  });
  assert.deepEqual(await findPoint(storage, day, { filter }), shop);
  await assert.rejects(findPoint(storage, ""), { code: "PointNotFound" });
});

test("a filter of a machine stops reading at its newest point, and an id reads one point", async () => {
  const old = Array.from({ length: 100 }, (_, number) => of({ hostname: "web1" }, 1000 + number));
  const newest = of({ hostname: "web1" }, 1);
  const storage = await storageOf(...old, newest);
  assert.deepEqual(await findPoint(storage, "latest", { filter: { host: "web1" } }), newest);
  assert.ok(storage.reads <= 16, `${storage.reads} reads`);
  storage.reads = 0;
  assert.deepEqual(await findPoint(storage, newest.id), newest);
  assert.equal(storage.reads, 1);
});

test("the latest of many points of one second is the one with the latest time", async () => {
  const createdAt = (ms: number) => `2026-11-23T11:21:50.${String(ms).padStart(3, "0")}Z`;
  const points = Array.from({ length: 40 }, (_, ms) => ({
    ...of({ hostname: "web1" }, 0),
    ...{ id: `20261123T112150Z-${(40 - ms).toString(16).padStart(8, "0")}`, createdAt: createdAt(ms) },
  }));
  const storage = await storageOf(...points);
  assert.deepEqual(await findPoint(storage, "latest", { filter: { host: "web1" } }), points.at(-1));
  assert.deepEqual(await findPoint(storage, "latest"), points.at(-1));
});

test("points that cannot be read and are newer are named, also where no other point fits", async () => {
  const web = of({ hostname: "web1" }, 20);
  const junk = pointKey(of({}, 10).id);
  const storage = await storageOf(of({ hostname: "web1" }, 40), web);
  await storage.put(pointKey(of({}, 30).id), Buffer.from("older"));
  await storage.put(junk, Buffer.from("newer"));
  const named: string[] = [];
  const onPassedOver = (errors: BlockferryError[]) => named.push(...errors.map(({ object = "" }) => object));
  assert.deepEqual(await findPoint(storage, "latest", { onPassedOver }), web);
  assert.deepEqual(named, [junk]);
  const filter = { host: "web2" };
  await assert.rejects(findPoint(storage, "latest", { filter, onPassedOver }), { code: "PointNotFound" });
  assert.equal(named.length, 3);
});

test(
  "latest of random points is the newest that matches, or the error counts the matching machines",
  fullDepthOnly,
  seeded(async (random) => {
    const pick = <T>(items: readonly T[]) => random.pick(items);
    for (let run = 0; run < 30; run++) {
      const points = Array.from({ length: 1 + random.below(40) }, (_, number) => {
        const instance = pick([undefined, SHOP, FARM]);
        return of(
          {
            ...(instance === undefined ? {} : { instance: instanceOf(instance) }),
            ...{ hostname: pick(["web1", SHOP]), tags: pick([{}, { env: "prod" }]) },
            volumes: pick([[], [volume("root")], [volume("data", "vol-0a")]]),
          },
          number,
        );
      });
      const storage = await storageOf(...points.toReversed());
      const filter: PointFilter = {
        instance: pick([undefined, undefined, SHOP]),
        host: pick([undefined, undefined, "web1", SHOP]),
        volumes: pick([[], [], ["root"], ["vol-0a"]]),
        tags: pick([{}, {}, { env: "prod" }]),
      };
      const fitting = points.filter((point) => meetsFilter(point, filter));
      const machines = new Set(fitting.map((point) => machineName(point)));
      const found = findPoint(storage, "latest", { filter });
      if (fitting.length === 0) await assert.rejects(found, { code: "PointNotFound" });
      else if (machines.size === 1) assert.deepEqual(await found, fitting[0]);
      else
        await assert.rejects(found, {
          code: "PointAmbiguous",
          message: new RegExp(`${machines.size} machines`),
        });
    }
  }),
);
