import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { Crc32OfPieces } from "../../../repository/packs/crc32-of-pieces.js";

const piece = fc.record({ bytes: fc.uint8Array({ maxLength: 5000, size: "max" }), known: fc.boolean() });

test("pieces have the CRC-32 of the whole, whether their own is known or not", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const crc = new Crc32OfPieces();
      for (const { bytes, known } of pieces) {
        if (known) crc.addKnown(crc32(bytes), bytes.length);
        else crc.add(bytes);
      }
      assert.equal(crc.value, crc32(Buffer.concat(pieces.map(({ bytes }) => bytes))));
    }),
  );
});

test("a piece of many MiB is joined as well", () => {
  const head = Buffer.alloc(12_345, "head");
  const tail = Buffer.alloc(9 * 2 ** 20 + 7, "tail");
  const crc = new Crc32OfPieces();
  crc.add(head);
  crc.addKnown(crc32(tail), tail.length);
  assert.equal(crc.value, crc32(Buffer.concat([head, tail])));
  crc.reset();
  assert.equal(crc.value, 0);
});
