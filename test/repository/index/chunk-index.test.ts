import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import {
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  INDEX_ENTRY_BYTES,
  readChunkRecord,
} from "../../../repository/format/chunk.js";
import { ChunkIndex, MAX_INDEX_ENTRIES } from "../../../repository/index/chunk-index.js";
import type { ClaimTask } from "../../support/claim-worker.js";
import { SeededRandom } from "../../support/random.js";

/** Few different ids, most of them in the same buckets, to cause all kinds of collisions. */
const id = fc
  .tuple(fc.constantFrom(0, 0, 1, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff), fc.nat({ max: 30 }))
  .map(([hash, rest]) => {
    const bytes = Buffer.alloc(CHUNK_ID_BYTES);
    bytes.writeUInt32LE(hash);
    bytes.writeUInt32LE(rest, CHUNK_ID_BYTES - 4);
    return bytes;
  });
const entry = fc
  .tuple(id, fc.uint8Array({ minLength: 24, maxLength: 24 }))
  .map(([chunk, rest]) => Buffer.concat([chunk, rest]));
const command = fc.oneof(
  fc.record({ kind: fc.constant("claim" as const), id }),
  fc.record({ kind: fc.constant("find" as const), id }),
  fc.record({ kind: fc.constant("insert" as const), entry }),
  fc.record({ kind: fc.constant("grow" as const), extra: fc.nat({ max: 20 }) }),
);

test("the chunk index behaves like a map from ids to all their places, however they collide and whenever it grows", () => {
  const commands = fc.array(command, { maxLength: 150, size: "max" });
  fc.assert(
    fc.property(commands, (run) => {
      let index = ChunkIndex.create(run.length + 1);
      /** By id: the entry of the chunk, and the inserted places. */
      const model = new Map<string, { entry: number; places: Buffer[] }>();
      run.forEach((step, number) => {
        if (step.kind === "grow") {
          index = index.withRoomFor(run.length - number + step.extra);
          return;
        }
        const bytes = step.kind === "insert" ? step.entry.subarray(0, CHUNK_ID_BYTES) : step.id;
        const hex = bytes.toString("hex");
        const known = model.get(hex);
        if (step.kind === "find") assert.equal(index.find(bytes), known?.entry ?? -1);
        else if (step.kind === "claim") {
          const claimed = index.claim(bytes);
          if (known !== undefined) assert.equal(claimed, known.entry);
          else {
            assert.ok(claimed < 0, "a new chunk is the caller's to store");
            model.set(hex, { entry: ~claimed, places: [unfilledEntry(bytes)] });
          }
        } else {
          index.insert(step.entry, 0);
          if (known === undefined) model.set(hex, { entry: index.find(bytes), places: [step.entry] });
          else known.places.push(step.entry);
        }
      });
      const entries = new Set<number>();
      for (const [hex, { entry, places }] of model) {
        assert.equal(index.find(Buffer.from(hex, "hex")), entry);
        const found = [...index.places(entry)];
        assert.equal(found[0], entry, "the entry that stands for the chunk comes first");
        assert.deepEqual(
          new Set(found.map((place) => JSON.stringify([index.record(place), index.packNumber(place)]))),
          new Set(
            places.map((bytes) =>
              JSON.stringify([readChunkRecord(bytes, 0), bytes.readUInt32LE(CHUNK_RECORD_BYTES)]),
            ),
          ),
        );
        for (const place of found) entries.add(place);
      }
      assert.equal(entries.size, index.size, "entries are distinct, and none is without a chunk");
    }),
    { numRuns: 300 },
  );
});

/** Returns the entry that `claim` makes in the index, before its caller fills it. */
function unfilledEntry(id: Buffer): Buffer {
  return Buffer.concat([id, Buffer.alloc(INDEX_ENTRY_BYTES - CHUNK_ID_BYTES)]);
}

test("a place that is listed again takes no more room", () => {
  const random = SeededRandom.fresh();
  const entry = random.bytes(INDEX_ENTRY_BYTES);
  const index = ChunkIndex.create(4);
  for (let times = 0; times < 10; times++) index.insert(entry, 0);
  assert.equal(index.size, 1, `seed ${random.seed}`);
});

test("the place that is preferred comes first, and the others stay", () => {
  const random = SeededRandom.fresh();
  const id = random.bytes(CHUNK_ID_BYTES);
  const index = ChunkIndex.create(6);
  for (let pack = 0; pack < 5; pack++) {
    const entry = Buffer.concat([id, random.bytes(INDEX_ENTRY_BYTES - CHUNK_ID_BYTES)]);
    entry.writeUInt32LE(pack, CHUNK_RECORD_BYTES);
    index.insert(entry, 0);
  }
  const packs = () => [...index.places(index.find(id))].map((place) => index.packNumber(place));
  const first = index.find(id);
  for (const place of [...index.places(first)]) {
    const pack = index.packNumber(place);
    const record = index.record(place);
    index.prefer(first, place);
    assert.equal(packs()[0], pack);
    assert.deepEqual(index.record(index.find(id)), record);
    assert.deepEqual(packs().toSorted(), [0, 1, 2, 3, 4], `seed ${random.seed}`);
  }
});

test("ids that differ in one word alone do not meet in the table: no search is long", () => {
  const random = SeededRandom.fresh();
  const count = 40_000;
  for (let word = 0; word < CHUNK_ID_BYTES / 4; word++) {
    const id = random.bytes(CHUNK_ID_BYTES);
    const index = ChunkIndex.create(count + 1);
    for (let number = 0; number < count; number++) {
      id.writeUInt32LE(number, 4 * word);
      index.claim(id);
    }
    assert.equal(index.size, count);
    for (const table of [index, index.withRoomFor(1000)]) {
      const longest = longestRun(new Int32Array(table.memory.buckets));
      assert.ok(longest < 1000, `word ${word}: ${longest} buckets in a row, seed ${random.seed}`);
    }
  }
});

/**
 * Returns the longest run of taken buckets, which bounds every search. With this number of random ids it is
 * about 150.
 */
function longestRun(buckets: Int32Array): number {
  let [run, longest] = [0, 0];
  for (const bucket of buckets) {
    run = bucket === 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  return longest;
}

test("a full index fails instead of looping, still finds its chunks, and takes more once it has grown", () => {
  for (const capacity of [0, 1, 2, 100]) {
    const random = new SeededRandom(`full ${capacity}`);
    const index = ChunkIndex.create(capacity);
    const ids: Buffer[] = [];
    assert.throws(() => {
      for (let tries = 0; tries <= 2 * capacity + 2; tries++) {
        const next = random.bytes(CHUNK_ID_BYTES);
        index.claim(next);
        ids.push(next);
      }
    }, RangeError);
    assert.ok(ids.length >= capacity, "it takes as many as were asked for");
    for (const known of ids) assert.ok(index.find(known) >= 0);
    assert.equal(index.find(random.bytes(CHUNK_ID_BYTES)), -1);
    const grown = index.withRoomFor(10);
    for (const known of ids) assert.equal(grown.find(known), index.find(known));
    assert.ok(grown.claim(random.bytes(CHUNK_ID_BYTES)) < 0);
  }
});

test("an index whose last slab is full fails in the same way", () => {
  const capacity = 2 ** 20;
  const index = ChunkIndex.create(capacity);
  const next = Buffer.alloc(CHUNK_ID_BYTES);
  const claimNumber = (number: number) => {
    next.writeUInt32LE(Math.imul(number, 0x9e37_79b1) >>> 0);
    next.writeUInt32LE(number, 4);
    return index.claim(next);
  };
  for (let number = 0; number < capacity; number++) claimNumber(number);
  assert.throws(() => claimNumber(capacity), RangeError);
  assert.equal(claimNumber(capacity - 1), capacity - 1);
});

test("the index takes at most 64 bytes of memory a chunk", () => {
  for (const slabs of [1, 2, 8]) {
    const capacity = slabs * 2 ** 20;
    for (const index of [ChunkIndex.create(capacity), ChunkIndex.create(1).withRoomFor(capacity)]) {
      const { buckets, slabs: entries, counter } = index.memory;
      const bytes = [buckets, counter, ...entries].reduce((sum, { byteLength }) => sum + byteLength, 0);
      assert.ok(bytes / capacity <= 64, `${bytes / capacity} bytes a chunk for ${capacity} chunks`);
      assert.ok(bytes / capacity > INDEX_ENTRY_BYTES, "every chunk has its entry");
    }
  }
});

test("of threads that claim overlapping ids at once, exactly one wins each id and all find the same entry", async () => {
  const random = SeededRandom.fresh();
  const threads = 4;
  const distinct = 50_000;
  const ids = new SharedArrayBuffer(distinct * CHUNK_ID_BYTES);
  random.bytes(ids.byteLength).copy(Buffer.from(ids));
  crowdTheTable(Buffer.from(ids));
  const index = ChunkIndex.create(1000).withRoomFor(distinct + threads);
  const gate = new Int32Array(new SharedArrayBuffer(4));

  const tasks: ClaimTask[] = Array.from({ length: threads }, (_, thread) => {
    const order = claimOrder(random, distinct, thread);
    const results = new SharedArrayBuffer(order.length * 4);
    return { index: index.memory, ids, order, results, gate: gate.buffer as SharedArrayBuffer };
  });
  const module = new URL("../../support/claim-worker.js", import.meta.url);
  const workers = tasks.map((workerData) => new Worker(module, { workerData }));
  const exits = workers.map((worker) => once(worker, "exit"));
  await Promise.all(workers.map((worker) => once(worker, "message")));
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (const exit of exits) assert.deepEqual(await exit, [0]);

  const entries = new Map<number, number>();
  const winners = new Map<number, number>();
  for (const { order, results } of tasks) {
    const returned = new Int32Array(results);
    order.forEach((chunk, number) => {
      const result = returned[number] as number;
      if (result < 0) winners.set(chunk, (winners.get(chunk) ?? 0) + 1);
      const entryNumber = result < 0 ? ~result : result;
      assert.equal(entries.get(chunk) ?? entryNumber, entryNumber, `seed ${random.seed}: chunk ${chunk}`);
      entries.set(chunk, entryNumber);
    });
  }
  assert.equal(entries.size, distinct);
  assert.equal(winners.size, distinct, `seed ${random.seed}: every id has a winner`);
  assert.ok(
    [...winners.values()].every((count) => count === 1),
    `seed ${random.seed}: one winner each`,
  );
  assert.equal(new Set(entries.values()).size, distinct, "no two ids share an entry");
  assert.ok(index.size <= distinct + threads, `${index.size} entries for ${distinct} ids`);
  for (let chunk = 0; chunk < distinct; chunk++) {
    const chunkId = Buffer.from(ids, chunk * CHUNK_ID_BYTES, CHUNK_ID_BYTES);
    assert.equal(index.find(chunkId), entries.get(chunk));
  }
});

/** Lets every tenth id start its search at the same place, so that threads race for the same buckets. */
function crowdTheTable(ids: Buffer): void {
  for (let at = 0; at < ids.length; at += 100 * CHUNK_ID_BYTES) ids.writeUInt32LE(0xffff_ff00, at);
}

/**
 * Returns all ids, mostly in one order, so that the threads meet at the same ids. Each thread starts at
 * another id, and repeats some.
 */
function claimOrder(random: SeededRandom, distinct: number, thread: number): number[] {
  const order = Array.from({ length: distinct }, (_, chunk) => chunk);
  for (let swaps = 0; swaps < distinct / 10; swaps++) {
    const a = random.below(distinct);
    const b = Math.min(distinct - 1, a + random.below(50));
    [order[a], order[b]] = [order[b] as number, order[a] as number];
  }
  const repeated = Array.from({ length: 1000 }, () => random.below(distinct));
  return thread === 0 ? [...order.toReversed(), ...repeated] : [...order, ...repeated];
}

test("an index of more entries than an Int32 can number is refused before memory is taken", () => {
  const refused = { code: "RepositoryUnsupported", message: new RegExp(`at most ${MAX_INDEX_ENTRIES}`) };
  assert.throws(() => ChunkIndex.create(MAX_INDEX_ENTRIES + 1), refused);
  assert.throws(() => ChunkIndex.create(10).withRoomFor(MAX_INDEX_ENTRIES + 1), refused);
});
