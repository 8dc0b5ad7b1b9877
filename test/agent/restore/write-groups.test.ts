import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { groupWrites, MAX_GROUP_CHUNKS } from "../../../agent/restore/decode-group.js";

/** Chunks of a run in any order; each has positions that no other chunk has. */
const chunks = fc
  .uniqueArray(fc.tuple(fc.nat(60), fc.nat(6)), { selector: ([position]) => position })
  .map((pairs) => {
    const byEntry = new Map<number, number[]>();
    for (const [position, shared] of pairs) {
      const entry = shared === 0 ? 0 : position + 1;
      byEntry.set(entry, [...(byEntry.get(entry) ?? []), position]);
    }
    const record = { id: Buffer.alloc(32), offset: 0, storedBytes: 1, rawBytes: 1, crc32: 0, encoding: 0 };
    return [...byEntry].map(([entry, positions]) => ({ entry, record, packNumber: 0, positions }));
  });

test("grouping writes every chunk to each of its positions, once, whatever the order in the pack", () => {
  fc.assert(
    fc.property(chunks, (wanted) => {
      const written = groupWrites(wanted).flatMap((group) =>
        group.starts.flatMap((start) => group.chunks.map(({ entry }, number) => [start + number, entry])),
      );
      const expected = wanted.flatMap(({ entry, positions }) =>
        positions.map((position) => [position, entry]),
      );
      const byPosition = (a: number[], b: number[]) => (a[0] as number) - (b[0] as number);
      assert.deepEqual(written.sort(byPosition), expected.sort(byPosition));
    }),
  );
});

test("neighbours are written together, up to the limit", () => {
  const record = { id: Buffer.alloc(32), offset: 0, storedBytes: 1, rawBytes: 1, crc32: 0, encoding: 0 };
  const wanted = Array.from({ length: MAX_GROUP_CHUNKS + 1 }, (_, number) => ({
    ...{ entry: number, record, packNumber: 0 },
    positions: [MAX_GROUP_CHUNKS - number],
  }));
  assert.deepEqual(
    groupWrites(wanted).map((group) => group.chunks.length),
    [MAX_GROUP_CHUNKS, 1],
  );
});
