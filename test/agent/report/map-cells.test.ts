import assert from "node:assert/strict";
import { test } from "node:test";
import { mapCells } from "../../../agent/report/backup-report.js";
import { NumberSet } from "../../../foundation/number-set.js";

const BYTES = { zero: 0, unchanged: 0, deduplicated: 0, new: 0 };
const [UNCHANGED, NEW] = [1, 3];

function mapOf(chunks: Uint8Array, badChunks: number[]) {
  const bad = NumberSet.below(chunks.length);
  for (const chunk of badChunks) bad.add(chunk);
  return mapCells({ parent: undefined, chunks, bad, bytes: BYTES });
}

test("a large volume is shown in cells of a power of two chunks, and a single chunk of another kind is not lost", () => {
  const chunks = new Uint8Array(5000).fill(UNCHANGED);
  chunks[4999] = NEW;
  const { chunksPerCell, cells } = mapOf(chunks, [8, 9]);
  assert.equal(chunksPerCell, 8);
  assert.equal(cells.length, 625);
  assert.deepEqual(cells[0], [0, 8, 0, 0, 0]);
  assert.deepEqual(cells[1], [0, 6, 0, 0, 2]);
  assert.deepEqual(cells[624], [0, 7, 0, 1, 0]);
});

test("an empty volume has no cells", () => {
  assert.deepEqual(mapOf(new Uint8Array(0), []), { chunksPerCell: 1, cells: [] });
});
