import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberSet } from "../../foundation/number-set.js";

const LIMIT = 100;

test("a number set behaves as a set that is read in order, also through shared memory", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(LIMIT - 1)), (numbers) => {
      const set = NumberSet.below(LIMIT);
      for (const number of numbers) set.add(number);
      const model = new Set(numbers);
      const attached = NumberSet.attach(set.memory);
      assert.deepEqual(
        [...attached],
        [...model].sort((a, b) => a - b),
      );
      assert.equal(attached.count(), model.size);
      for (let number = 0; number < LIMIT; number++) assert.equal(attached.has(number), model.has(number));
    }),
  );
});

test("a range is added as its numbers are, whatever its ends", () => {
  const range = fc
    .tuple(fc.nat(LIMIT), fc.nat(LIMIT))
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 4 }), (ranges) => {
      const set = NumberSet.below(LIMIT);
      const model = new Set<number>();
      for (const [start, end] of ranges) {
        set.addRange(start, end - start);
        for (let number = start; number < end; number++) model.add(number);
      }
      assert.deepEqual(
        [...set],
        [...model].sort((a, b) => a - b),
      );
    }),
  );
});
