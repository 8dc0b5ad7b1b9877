import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeBadRanges } from "../../../agent/backup/read-volumes.js";
import type { ByteRange } from "../../../native-free-io/data-ranges.js";
import { MAX_BAD_RANGES } from "../../../repository/format/object-bounds.js";

const BLOCK_BYTES = 4096;
const PATHS = ["/dev/sdb", "/dev/sdc"];

function everyOtherBlock(count: number): ByteRange[] {
  return Array.from({ length: count }, (_, n) => ({ offset: 2 * n * BLOCK_BYTES, length: BLOCK_BYTES }));
}

test("bad blocks from several threads are reported in order, and adjacent ones as one range", () => {
  const first = everyOtherBlock(3);
  const second = first.map(({ offset, length }) => ({ offset: offset + length, length }));
  const merged = mergeBadRanges(PATHS, [
    { badRanges: [second, []] },
    { badRanges: [first, everyOtherBlock(2)] },
  ]);
  assert.deepEqual(merged, [[{ offset: 0, length: 6 * BLOCK_BYTES }], everyOtherBlock(2)]);
});

test("a device that cannot be read in more places than a recovery point may have is named", () => {
  const most = everyOtherBlock(MAX_BAD_RANGES - 1);
  assert.deepEqual(mergeBadRanges(PATHS, [{ badRanges: [everyOtherBlock(1), most] }]), [
    everyOtherBlock(1),
    most,
  ]);
  assert.throws(() => mergeBadRanges(PATHS, [{ badRanges: [everyOtherBlock(2), most] }]), {
    ...{ code: "SourceUnreadable", object: "/dev/sdc", message: /131073 places/ },
  });
});
