import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { newConfig } from "../../../repository/format/config.js";
import {
  expectationOf,
  formatExpectation,
  meets,
  parseExpectation,
  refuseUnexpected,
} from "../../../repository/open/expectation.js";

const CHECK = "0123456789abcdef".repeat(4);

describe("a pin", () => {
  test("is parsed as it is formatted, in any case of its digits", () => {
    const id = randomUUID();
    for (const pin of [id, `${id}:none`, `${id}:${CHECK}`]) {
      const parsed = parseExpectation(pin);
      assert.ok(parsed !== undefined);
      assert.equal(formatExpectation(parsed), pin);
      assert.deepEqual(parseExpectation(pin.toUpperCase()), parsed);
    }
  });

  test("has no other form", () => {
    const id = randomUUID();
    for (const text of ["", "none", `${id}:`, `${id}:any`, `${id}:${CHECK}0`, ` ${id}`, `${id}\n`, CHECK]) {
      assert.equal(parseExpectation(text), undefined, JSON.stringify(text));
    }
  });

  test("meets the repository that it was printed for, and no other id, mode or key check", () => {
    const id = randomUUID();
    const [plain, encrypted] = [newConfig(id), newConfig(id, CHECK)];
    const others = [
      newConfig(randomUUID()),
      newConfig(randomUUID(), CHECK),
      newConfig(id, CHECK.replace("0", "1")),
    ];
    for (const config of [plain, encrypted]) {
      const pin = expectationOf(config);
      assert.ok(meets(config, pin));
      for (const other of [...others, config === plain ? encrypted : plain]) {
        assert.ok(!meets(other, pin), JSON.stringify(other));
      }
    }
    assert.ok([plain, encrypted].every((config) => meets(config, { repository: id, encryption: "any" })));
  });

  test("that is not met is an error with both in its message, as is one of several", () => {
    const config = newConfig(randomUUID());
    const other = { repository: randomUUID(), encryption: CHECK };
    assert.throws(() => refuseUnexpected("there", config, [expectationOf(config), other]), {
      code: "RepositoryMismatch",
      message: new RegExp(`there.*${other.repository}.*${CHECK}.*${config.id}, not encrypted`),
    });
  });
});
