import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  CHUNK_BYTES,
  CHUNK_ID_BYTES,
  CHUNK_RECORD_BYTES,
  ENCODING,
  INDEX_ENTRY_BYTES,
  PACK_HEADER_BYTES,
  writeChunkRecord,
} from "../../../repository/format/chunk.js";
import { NO_CIPHER } from "../../../repository/format/chunk-codec.js";
import {
  decodeIndexSegment,
  encodeIndexSegment,
  entriesOf,
} from "../../../repository/format/index-segment.js";
import { maxEntriesIn, readIndexSegment, writeIndexSegment } from "../../../repository/index/segments.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { tempFolder } from "../../support/temp-folder.js";

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
const u32 = (max = 2 ** 32 - 1) => fc.integer({ min: 0, max });
/** A chunk in the first half of the possible space of a pack. */
const record = fc
  .record({
    ...{ id: bytes(CHUNK_ID_BYTES), offset: u32(2 ** 31).map((offset) => offset + PACK_HEADER_BYTES) },
    ...{
      rawBytes: fc.integer({ min: 1, max: CHUNK_BYTES }),
      crc32: u32(),
      saved: fc.double({ noNaN: true, min: 0, max: 0.99 }),
    },
  })
  .map(({ saved, ...fields }) => {
    const storedBytes = Math.ceil(fields.rawBytes * (1 - saved));
    const encoding = storedBytes < fields.rawBytes ? ENCODING.lz4 : ENCODING.raw;
    const written = Buffer.alloc(CHUNK_RECORD_BYTES);
    writeChunkRecord({ ...fields, storedBytes, encoding }, written, 0);
    return written;
  });
const pack = fc.record({
  id: bytes(16).map((id) => id.toString("hex")),
  sizeBytes: fc.integer({ min: 2 ** 32, max: Number.MAX_SAFE_INTEGER }),
  footer: fc.array(record, { maxLength: 20 }).map((records) => Buffer.concat(records)),
});
const packs = fc.array(pack, { maxLength: 5 });

function keyOf(segment: Buffer): string {
  return `index/${createHash("sha256").update(segment).digest("hex")}`;
}

function entriesIn(bytes: Buffer): string[] {
  return Array.from({ length: bytes.length / INDEX_ENTRY_BYTES }, (_, number) =>
    bytes.toString("hex", number * INDEX_ENTRY_BYTES, (number + 1) * INDEX_ENTRY_BYTES),
  );
}

test("an index segment gives back its packs, and every chunk of theirs sorted by id", () => {
  fc.assert(
    fc.property(packs, (written) => {
      const segment = encodeIndexSegment(written);
      const read = decodeIndexSegment(segment, keyOf(segment), NO_CIPHER);
      assert.deepEqual(
        read.packs,
        written.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
      );
      const ids = entriesIn(read.entries).map((entry) => entry.slice(0, 2 * CHUNK_ID_BYTES));
      assert.deepEqual(ids, ids.toSorted());
      const expected = written.flatMap((one, number) => entriesIn(entriesOf(one, number)));
      assert.deepEqual(entriesIn(read.entries).toSorted(), expected.toSorted());
      assert.ok(maxEntriesIn({ key: keyOf(segment), sizeBytes: segment.length }) >= expected.length);
    }),
  );
});

test("an index segment with any byte changed, cut or added is refused and named", () => {
  const damage = fc.record({
    at: fc.nat(),
    xor: fc.integer({ min: 1, max: 255 }),
    how: fc.constantFrom("change", "cut", "add"),
  });
  fc.assert(
    fc.property(packs, damage, (written, { at, xor, how }) => {
      const segment = encodeIndexSegment(written);
      const key = keyOf(segment);
      const where = at % segment.length;
      const changed = Buffer.from(segment);
      changed[where] = (changed[where] as number) ^ xor;
      const damaged = {
        change: changed,
        cut: segment.subarray(0, where),
        add: Buffer.concat([segment, changed]),
      };
      assert.throws(() => decodeIndexSegment(damaged[how], key, NO_CIPHER), {
        code: "ObjectCorrupt",
        object: key,
      });
    }),
  );
});

test("an index segment of an unknown format version is refused as such", () => {
  const segment = encodeIndexSegment([]);
  segment.writeUInt32LE(2, 8);
  assert.throws(() => decodeIndexSegment(segment, keyOf(segment), NO_CIPHER), {
    code: "RepositoryUnsupported",
  });
});

test("an index segment is stored under the SHA-256 of its bytes", async () => {
  const storage = new LocalDirectory(await tempFolder());
  await fc.assert(
    fc.asyncProperty(packs, async (written) => {
      const key = await writeIndexSegment(storage, written);
      assert.equal(key, keyOf(await storage.get(key)));
      const read = await readIndexSegment(storage, key);
      assert.equal(read.packs.length, written.length);
    }),
    { numRuns: 20 },
  );
});

test("an index segment of more packs than one may list is refused before they are taken in", () => {
  const packs = Array.from({ length: 2 ** 18 + 1 }, (_, number) => ({
    ...{ id: number.toString(16).padStart(32, "0"), sizeBytes: 100, footer: Buffer.alloc(0) },
  }));
  const most = encodeIndexSegment(packs.slice(1));
  assert.equal(decodeIndexSegment(most, keyOf(most), NO_CIPHER).packs.length, 2 ** 18);
  const more = encodeIndexSegment(packs);
  assert.throws(() => decodeIndexSegment(more, keyOf(more), NO_CIPHER), { code: "ObjectCorrupt" });
});

test("an index segment that is there already is left alone when it is whole, and replaced when it is damaged", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const packs = [{ id: "0".repeat(32), sizeBytes: 100, footer: Buffer.alloc(0) }];
  const key = await writeIndexSegment(storage, packs);
  const whole = await storage.get(key);
  assert.equal(await writeIndexSegment(storage, packs), key);
  for (const damaged of [whole.subarray(1), Buffer.alloc(0), Buffer.from("planted")]) {
    await storage.put(key, damaged);
    assert.equal(await writeIndexSegment(storage, packs), key);
    assert.ok((await storage.get(key)).equals(whole));
  }
});
