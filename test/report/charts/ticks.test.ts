import assert from "node:assert/strict";
import { test } from "node:test";
import { rateAxis, secondsAxis } from "../../../report/charts/plot.js";

test("axes of any length have ticks that differ, few enough to be read, the first at 0 and none beyond the end", () => {
  for (const max of [0, 0.013, 0.4, 1, 59, 61, 3599, 86_400, 1e6]) check(secondsAxis(max, ""), max);
  for (const max of [0, 1, 1000, 1.5e9, 7e12]) check(rateAxis(max, ""), max);
});

function check({ max, ticks }: ReturnType<typeof rateAxis>, wanted: number): void {
  assert.ok(max >= wanted && ticks.length >= 2 && ticks.length <= 8, `${ticks.length} up to ${wanted}`);
  assert.equal(ticks[0]?.value, 0);
  assert.ok((ticks.at(-1)?.value ?? 0) <= max * 1.001);
  assert.equal(new Set(ticks.map(({ label }) => label)).size, ticks.length, JSON.stringify(ticks));
}
