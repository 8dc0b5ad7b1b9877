import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mergeRanges } from "../../native-free-io/data-ranges.js";

const ranges = fc.array(fc.record({ offset: fc.nat(100), length: fc.integer({ min: 1, max: 20 }) }));

function bytesOf(list: { offset: number; length: number }[]): number[] {
  const bytes = list.flatMap(({ offset, length }) => Array.from({ length }, (_, i) => offset + i));
  return [...new Set(bytes)].sort((a, b) => a - b);
}

test("merged ranges hold the same bytes, in order, with a gap between each two", () => {
  fc.assert(
    fc.property(ranges, (list) => {
      const merged = mergeRanges(list);
      assert.deepEqual(bytesOf(merged), bytesOf(list));
      for (const [number, range] of merged.entries()) {
        const next = merged[number + 1];
        if (next !== undefined) assert.ok(range.offset + range.length < next.offset);
      }
    }),
  );
});
