import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { maxJsonValues } from "../../../repository/format/object-bounds.js";
import { sealJson, unsealJson } from "../../../repository/format/sealed-json.js";

const KEY = "points/test.json";

test("a sealed document opens to the sealed content", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      const opened = unsealJson(sealJson(body), z.unknown(), KEY);
      assert.deepEqual(opened, JSON.parse(JSON.stringify(body)));
    }),
  );
});

test("a sealed document with any single byte changed, removed or added is refused and named", () => {
  const damage = fc.record({
    at: fc.nat(),
    byte: fc.nat({ max: 255 }),
    how: fc.constantFrom("change", "remove", "add"),
  });
  fc.assert(
    fc.property(fc.jsonValue(), damage, (body, { at, byte, how }) => {
      const sealed = sealJson(body);
      const where = at % sealed.length;
      const before = sealed.subarray(0, where);
      const kept = how === "add" ? sealed.subarray(where) : sealed.subarray(where + 1);
      const damaged = Buffer.concat([before, how === "remove" ? Buffer.alloc(0) : Buffer.from([byte]), kept]);
      fc.pre(!damaged.equals(sealed));
      assert.throws(() => unsealJson(damaged, z.unknown(), KEY), { code: "ObjectCorrupt", object: KEY });
    }),
    { numRuns: 1000 },
  );
});

test("every single bit of a sealed document is covered", () => {
  const sealed = sealJson({ text: "zwölf Boxkämpfer ☃", number: -1.5e300, list: [null, true, ""] });
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const damaged = Buffer.from(sealed);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.throws(() => unsealJson(damaged, z.unknown(), KEY), { code: "ObjectCorrupt" }, `bit ${bit}`);
  }
});

test("an intact document that the schema does not allow is refused as unsupported, not as damaged", () => {
  const schema = z.strictObject({ version: z.literal(1) });
  for (const body of [{ version: 2 }, { version: 1, more: true }, [], null]) {
    assert.throws(() => unsealJson(sealJson(body), schema, KEY), {
      code: "RepositoryUnsupported",
      object: KEY,
    });
  }
});

test("a document of more values than one of its key can hold is refused before they are taken in", () => {
  const maxValues = maxJsonValues(KEY);
  const most = sealJson(Array.from({ length: maxValues }, () => 0));
  assert.equal((unsealJson(most, z.unknown(), KEY) as number[]).length, maxValues);
  for (const value of [0, [], {}]) {
    const more = sealJson(Array.from({ length: maxValues + 1 }, () => value));
    const tooManyValues = { code: "RepositoryUnsupported", message: /holds more than 524288 values/ };
    assert.throws(() => unsealJson(more, z.unknown(), KEY), tooManyValues);
  }
});

test("a document that is wrong in very many places, or in a very long one, is refused in few words", () => {
  const schema = z.strictObject({ list: z.array(z.strictObject({ a: z.number(), b: z.number() })) });
  const wrong = [
    { list: Array.from({ length: 1000 }, () => ({})) },
    { list: Array.from({ length: 250_000 }, () => ({})) },
    { list: [], ["x".repeat(1_000_000)]: 0 },
  ];
  for (const body of wrong) {
    assert.throws(
      () => unsealJson(sealJson(body), schema, KEY),
      ({ code, message }) => code === "RepositoryUnsupported" && message.length < 2000,
    );
  }
});

test("a document with bytes that are not UTF-8 is refused, whatever its seal says", () => {
  const body = Buffer.from([0x22, 0xff, 0x22]);
  const head = `{"sha256":"${createHash("sha256").update(body).digest("hex")}","body":`;
  const sealed = Buffer.concat([Buffer.from(head), body, Buffer.from("}\n")]);
  assert.throws(() => unsealJson(sealed, z.unknown(), KEY), { code: "ObjectCorrupt" });
});
