import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { systemErrorCode, systemErrorMessage } from "../../foundation/errors.js";

/** An error of the kernel that Node does not name, as Node makes it. */
function unnamed(number: number): Error {
  const code = `Unknown system error -${number}`;
  return Object.assign(new Error(`${code}: ${code}, write`), { errno: -number, code, syscall: "write" });
}

test("errors of the kernel that Node does not name have their names from the C library", () => {
  for (const [number, name] of [
    [122, "EDQUOT"],
    [116, "ESTALE"],
  ] as const) {
    assert.equal(systemErrorCode(unnamed(number)), name);
    assert.equal(systemErrorMessage(unnamed(number)), `${name}, write`);
  }
  assert.equal(systemErrorCode(unnamed(9999)), "Unknown system error -9999");
});

test("other errors keep their code and message, and values without a code have none", async () => {
  const missing = await readFile("/does/not/exist").catch((error: Error) => error);
  assert.equal(systemErrorCode(missing), "ENOENT");
  assert.equal(systemErrorMessage(missing), "ENOENT: no such file or directory, open '/does/not/exist'");
  assert.equal(systemErrorCode(new Error("no code")), undefined);
  assert.equal(systemErrorMessage("text"), "text");
});
