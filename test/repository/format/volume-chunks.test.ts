import assert from "node:assert/strict";
import { test } from "node:test";
import { VolumeChunks } from "../../../repository/format/block-map.js";

test("every chunk of a volume is visited once and in order, also between long runs of zeros", () => {
  for (const count of [1, 4095, 4096, 4097, 100_000]) {
    const chunks = VolumeChunks.create(count);
    const places = [0, 1, 4095, 4096, 4097, 50_000, count - 1].filter((place) => place < count);
    const expected = [...new Set(places)].sort((a, b) => a - b).map((place) => ({ place, entry: place * 3 }));
    for (const { place, entry } of expected) chunks.set(place, entry);
    const visited: { place: number; entry: number }[] = [];
    chunks.forEachChunk((place, entry) => visited.push({ place, entry }));
    assert.deepEqual(visited, expected);
  }
});
