import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHUNK_RECORD_BYTES, PACK_HEADER_BYTES } from "../../../repository/format/chunk.js";
import {
  checkFooter,
  locateFooter,
  newPackId,
  PACK_TRAILER_BYTES,
  PLAIN_LAYOUT,
  packHeader,
  packIdOf,
  packKey,
  packTrailer,
} from "../../../repository/format/pack.js";

const packId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));
const footer = fc
  .nat({ max: 40 })
  .chain((chunks) =>
    fc.uint8Array({ minLength: chunks * CHUNK_RECORD_BYTES, maxLength: chunks * CHUNK_RECORD_BYTES }),
  )
  .map((bytes) => Buffer.from(bytes));
/** Start of the footer: after the header and up to 64 MiB of payload. */
const footerOffset = fc.integer({ min: PACK_HEADER_BYTES, max: 65 * 2 ** 20 });

/** Reads the end of a pack as a reader does. */
function openEnd(id: string, end: Buffer, start: number): Buffer {
  const trailer = end.subarray(Math.max(0, end.length - PACK_TRAILER_BYTES));
  const located = locateFooter(id, trailer, start + end.length, PLAIN_LAYOUT);
  const bytes = end.subarray(located.offset - start, located.offset - start + located.length);
  checkFooter(id, bytes, trailer, located.offset, PLAIN_LAYOUT);
  return bytes;
}

test("the end of a pack leads to its footer", () => {
  fc.assert(
    fc.property(packId, footer, footerOffset, (id, records, offset) => {
      const end = Buffer.concat([records, packTrailer(id, records, offset, PLAIN_LAYOUT)]);
      assert.ok(openEnd(id, end, offset).equals(records));
    }),
  );
});

test("any changed byte in a pack's footer or trailer is refused, with the pack and an offset in that area", () => {
  const change = { at: fc.nat({ max: 1 << 16 }), xor: fc.integer({ min: 1, max: 255 }) };
  fc.assert(
    fc.property(packId, footer, footerOffset, fc.record(change), (id, records, offset, { at, xor }) => {
      const end = Buffer.concat([records, packTrailer(id, records, offset, PLAIN_LAYOUT)]);
      const where = at % end.length;
      end[where] = (end[where] as number) ^ xor;
      assert.throws(
        () => openEnd(id, end, offset),
        (error: unknown) =>
          isPackCorrupt(error, id) && error.offset >= offset && error.offset < offset + end.length,
      );
    }),
  );
});

test("a footer is refused under another pack's id, and in a pack of another size", () => {
  fc.assert(
    fc.property(
      packId,
      packId,
      footer,
      footerOffset,
      fc.integer({ min: 1, max: 5000 }),
      (id, other, records, offset, extra) => {
        fc.pre(id !== other);
        const trailer = packTrailer(id, records, offset, PLAIN_LAYOUT);
        assert.throws(() => checkFooter(other, records, trailer, offset, PLAIN_LAYOUT), {
          code: "PackCorrupt",
        });
        const sizeBytes = offset + records.length + PACK_TRAILER_BYTES;
        assert.throws(() => locateFooter(id, trailer, sizeBytes + extra, PLAIN_LAYOUT), {
          code: "PackCorrupt",
        });
        assert.throws(() => locateFooter(id, trailer, sizeBytes - extra, PLAIN_LAYOUT), {
          code: "PackCorrupt",
        });
      },
    ),
  );
});

test("a trailer cut short is refused at every length", () => {
  const id = newPackId();
  const trailer = packTrailer(id, Buffer.alloc(CHUNK_RECORD_BYTES), PACK_HEADER_BYTES, PLAIN_LAYOUT);
  for (let length = 0; length < PACK_TRAILER_BYTES; length++) {
    assert.throws(
      () => locateFooter(id, trailer.subarray(0, length), PACK_HEADER_BYTES + length, PLAIN_LAYOUT),
      {
        code: "PackCorrupt",
      },
    );
  }
});

test("a pack's header and key both carry its id", () => {
  fc.assert(
    fc.property(packId, (id) => {
      assert.equal(packHeader(id, PLAIN_LAYOUT).length, PACK_HEADER_BYTES);
      assert.equal(packHeader(id, PLAIN_LAYOUT).toString("hex", 16, 32), id);
      assert.equal(packIdOf(packKey(id)), id);
    }),
  );
});

test("a key that no pack can have is not taken for one", () => {
  const id = "3f".repeat(16);
  const foreign = [
    `packs/${id}`,
    `packs/3e/${id}`,
    `packs/3f/${id}0`,
    `packs/3f/${id.slice(1)}`,
    `packs/3F/${id.toUpperCase()}`,
    `packs/3f/${id}.tmp`,
    `packs/3f/x/${id}`,
    `index/3f/${id}`,
    `packs/3f/${id}\n`,
  ];
  for (const key of foreign) assert.equal(packIdOf(key), undefined, key);
});

function isPackCorrupt(error: unknown, id: string): error is { offset: number } {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === "PackCorrupt" &&
    "object" in error &&
    error.object === packKey(id) &&
    "offset" in error &&
    typeof error.offset === "number"
  );
}
