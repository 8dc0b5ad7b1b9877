import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { applyPolicy, type RetentionPolicy } from "../../../repository/points/retention.js";
import { INSTANCE } from "../../support/jobs.js";

const NOTHING: RetentionPolicy = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

function pointAt(createdAt: string, more: Partial<RecoveryPoint> = {}): RecoveryPoint {
  return {
    ...{
      version: 1,
      id: createdAt,
      repository: "",
      startedAt: createdAt,
      createdAt,
      hostname: "host",
      tags: {},
    },
    volumes: [{ name: "disk", source: "/dev/sda", sizeBytes: 0, root: "", badRanges: [] }],
    stats: { sourceBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    ...more,
  } as RecoveryPoint;
}

/** Returns the times of the points that the policy keeps, and the reasons. */
function kept(times: string[], policy: Partial<RetentionPolicy>): Record<string, string> {
  const [group] = applyPolicy(
    times.map((time) => pointAt(time)),
    { ...NOTHING, ...policy },
  );
  const verdicts = group?.verdicts.filter(({ keptBy }) => keptBy.length > 0) ?? [];
  return Object.fromEntries(verdicts.map(({ point, keptBy }) => [point.id, keptBy.join(" ")]));
}

const DAYS = [
  "2026-11-20T08:00:00.000Z",
  "2026-11-22T23:59:59.999Z",
  "2026-11-23T00:00:00.000Z",
  "2026-11-23T09:00:00.000Z",
  "2026-11-23T09:59:00.000Z",
  "2026-11-24T07:30:00.000Z",
];

test("the newest point of each of the newest days is kept, whatever their order", () => {
  const expected = {
    "2026-11-24T07:30:00.000Z": "daily",
    "2026-11-23T09:59:00.000Z": "daily",
    "2026-11-22T23:59:59.999Z": "daily",
  };
  assert.deepEqual(kept(DAYS, { daily: 3 }), expected);
  assert.deepEqual(kept(DAYS.toReversed(), { daily: 3 }), expected);
});

test("days without a point do not count", () => {
  assert.deepEqual(Object.keys(kept(DAYS, { daily: 4 })).at(-1), "2026-11-20T08:00:00.000Z");
});

test("hours are those of UTC, and weeks begin on Monday", () => {
  assert.deepEqual(Object.keys(kept(DAYS, { hourly: 3 })), [
    "2026-11-24T07:30:00.000Z",
    "2026-11-23T09:59:00.000Z",
    "2026-11-23T00:00:00.000Z",
  ]);
  assert.deepEqual(Object.keys(kept(DAYS, { weekly: 2 })), [
    "2026-11-24T07:30:00.000Z",
    "2026-11-22T23:59:59.999Z",
  ]);
});

test("weeks run across the end of a year", () => {
  const times = ["2026-12-28T00:00:00.000Z", "2027-01-03T12:00:00.000Z", "2027-01-04T00:00:00.000Z"];
  assert.deepEqual(Object.keys(kept(times, { weekly: 5 })), [times[2], times[1]]);
});

test("a point that several rules keep counts for each of them", () => {
  const times = ["2025-12-31T00:00:00.000Z", "2026-10-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z"];
  assert.deepEqual(kept(times, { last: 1, monthly: 2, yearly: 2 }), {
    "2026-11-01T00:00:00.000Z": "last monthly yearly",
    "2026-10-01T00:00:00.000Z": "monthly",
    "2025-12-31T00:00:00.000Z": "yearly",
  });
});

test("no rule keeps nothing, and a generous one everything", () => {
  assert.deepEqual(kept(DAYS, {}), {});
  assert.equal(Object.keys(kept(DAYS, { last: 100 })).length, DAYS.length);
});

test("each instance, and each machine with its set of volumes, is judged by itself", () => {
  const [old = "", newer = ""] = DAYS;
  const points = [
    pointAt(old),
    pointAt(newer, { instance: INSTANCE }),
    pointAt(old, { instance: { ...INSTANCE, instanceId: "i-0ccccccccccccccc3" } }),
    pointAt(old, { hostname: "other" }),
  ];
  const groups = applyPolicy(points, { ...NOTHING, last: 1 });
  assert.deepEqual(
    groups.map(({ name }) => name),
    ["host: disk", INSTANCE.instanceId, "i-0ccccccccccccccc3", "other: disk"],
  );
  for (const { verdicts } of groups)
    assert.deepEqual(
      verdicts.map(({ keptBy }) => keptBy),
      [["last"]],
    );
});

const rules = fc.record({
  last: fc.nat({ max: 5 }),
  hourly: fc.nat({ max: 5 }),
  daily: fc.nat({ max: 8 }),
  weekly: fc.nat({ max: 5 }),
  monthly: fc.nat({ max: 5 }),
  yearly: fc.nat({ max: 3 }),
});
const times = fc
  .uniqueArray(
    fc
      .date({
        min: new Date("2025-06-01T00:00:00Z"),
        max: new Date("2026-11-20T00:00:00Z"),
        noInvalidDate: true,
      })
      .map((date) => date.toISOString()),
    { maxLength: 30 },
  )
  .map((unique) => unique.sort());

test("whatever points are planted, the proven ones that the policy would keep without them are kept", () => {
  fc.assert(
    fc.property(times, times, rules, (proven, planted, policy) => {
      const points = proven.map((time) => pointAt(time));
      const forged = planted.map((time) => pointAt(time, { id: `${time}-planted` }));
      const keptOf = (all: RecoveryPoint[]) =>
        applyPolicy(all, policy, (point) => points.includes(point)).flatMap(({ verdicts }) =>
          verdicts.filter(({ keptBy }) => keptBy.length > 0).map(({ point }) => point),
        );
      const kept = new Set(keptOf([...points, ...forged]));
      for (const point of keptOf(points)) assert.ok(kept.has(point), point.id);
    }),
  );
});
