import assert from "node:assert/strict";
import { test } from "node:test";
import { startAgent } from "../../support/agent.js";

const limits = (size: string) =>
  startAgent(["limits", "--volumes=1", "--json"], { UV_THREADPOOL_SIZE: size }).result;

test("an invalid UV_THREADPOOL_SIZE is refused by its name", async () => {
  for (const size of ["abc", "", "0", "-4", "12.5", "1e3", " 64", "1025"]) {
    const { code, stdout } = await limits(size);
    assert.equal(code, 2, `"${size}"\n${stdout}`);
    const { error } = JSON.parse(stdout);
    assert.equal(error.code, "Usage");
    assert.ok(error.message.includes(`UV_THREADPOOL_SIZE is "${size}"`), error.message);
  }
});

test("a UV_THREADPOOL_SIZE from 1 to 1024 is taken", async () => {
  for (const size of ["1", "1024"]) assert.equal((await limits(size)).code, 0, size);
});
