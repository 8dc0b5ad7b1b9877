import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { estimateCost } from "../../../controller/plan/cost.js";
import { planOf } from "../plans.js";

const GIB = 2 ** 30;
const [volume] = planOf().volumes;
const volumes = [100, 400].map((gib) => ({
  ...(volume as NonNullable<typeof volume>),
  ...{ name: `data-${gib}`, origin: { ...volume?.origin, sizeBytes: gib * GIB } },
})) as ReturnType<typeof planOf>["volumes"];

describe("the cost of temporary resources", () => {
  test("is that of snapshots and volumes, in USD for each hour of a month of 720", () => {
    const { parts, usdPerHour, keptSnapshotsUsdPerMonth } = estimateCost(planOf({ volumes }));
    assert.deepEqual(parts, [
      { what: "snapshots", count: 2, sizeGib: 500, usdPerHour: 0.034722 },
      { what: "volumes", count: 2, sizeGib: 500, usdPerHour: 0.055556 },
    ]);
    assert.equal(usdPerHour, 0.090278);
    assert.equal(keptSnapshotsUsdPerMonth, 0);
  });

  test("has the copies of the route, and a launched worker's root", () => {
    const workerRoot = { deviceName: "/dev/xvda", sizeGib: 9 };
    const { parts } = estimateCost(planOf({ volumes, route: "cross-account-region", workerRoot }));
    assert.deepEqual(
      parts.map(({ what, sizeGib }) => [what, sizeGib]),
      [
        ["snapshots", 500],
        ["copies", 500],
        ["volumes", 500],
        ["worker-root", 9],
      ],
    );
    assert.equal(parts[3]?.usdPerHour, 0.001);
  });

  test("counts IOPS and throughput above the baseline of gp3, for each volume", () => {
    const asked = (iops: number, throughputMibps: number) =>
      estimateCost(planOf({ volumes }, { iops, throughputMibps })).parts[1]?.usdPerHour;
    assert.equal(asked(3000, 125), 0.055556);
    assert.equal(asked(4440, 305), 0.095556);
  });

  test("includes the monthly cost of kept snapshots, and lists the costs that it does not include", () => {
    const { keptSnapshotsUsdPerMonth, notIncluded } = estimateCost(
      planOf({ volumes }, { snapshots: "keep", initializationRateMibps: 200 }),
    );
    assert.equal(keptSnapshotsUsdPerMonth, 25);
    assert.ok(notIncluded.some((what) => what.startsWith("the initialization rate")));
  });
});
