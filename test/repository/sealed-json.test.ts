import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { sealJson, unsealJson } from "../../repository/sealed-json.js";

const KEY = "points/test.json";

test("a sealed document opens to what was sealed", () => {
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
