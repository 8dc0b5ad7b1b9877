import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkIndex } from "../../repository/chunk-index.js";
import { EntrySet } from "../../repository/entry-set.js";

const ENTRIES = 100;

test("an entry set behaves as a set of numbers that is read in order", () => {
  const index = ChunkIndex.create(ENTRIES);
  for (let number = 0; number < ENTRIES; number++)
    index.claim(createHash("sha256").update(`${number}`).digest());
  fc.assert(
    fc.property(fc.array(fc.nat(ENTRIES - 1)), (entries) => {
      const set = new EntrySet(index);
      for (const entry of entries) set.add(entry);
      const model = new Set(entries);
      assert.deepEqual(
        [...set],
        [...model].sort((a, b) => a - b),
      );
      assert.equal(set.size, model.size);
      for (let entry = 0; entry < ENTRIES; entry++) assert.equal(set.has(entry), model.has(entry));
    }),
  );
});
