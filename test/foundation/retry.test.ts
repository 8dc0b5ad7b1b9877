import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Outage, pause, retry } from "../../foundation/retry.js";

/** Returns an operation that fails this number of times, with an error that names the try. */
function failing(times: number) {
  let tries = 0;
  return async () => {
    tries++;
    if (tries <= times) throw new Error(`try ${tries}`);
    return tries;
  };
}

describe("an operation", () => {
  test("is repeated until it succeeds, and each failure is counted", async () => {
    const failures: number[] = [];
    const delayMs = (_error: unknown, count: number) => {
      failures.push(count);
      return 0;
    };
    assert.equal(await retry(failing(3), { delayMs }), 4);
    assert.deepEqual(failures, [1, 2, 3]);
  });

  test("fails with its last error when the policy gives up", async () => {
    const delayMs = (_error: unknown, count: number) => (count < 3 ? 0 : undefined);
    await assert.rejects(retry(failing(9), { delayMs }), /try 3/);
  });

  test("is not repeated after the signal has fired, and fails with the signal's reason", async () => {
    const reason = new Error("stopped");
    const operation = failing(9);
    const policy = { delayMs: () => 600_000, signal: AbortSignal.abort(reason) };
    await assert.rejects(retry(operation, policy), reason);
    await assert.rejects(operation(), /try 2/);
  });
});

test("a pause ends with the signal's reason as soon as it fires", async () => {
  const controller = new AbortController();
  const waiting = pause(600_000, controller.signal);
  controller.abort(new Error("stopped"));
  await assert.rejects(waiting, /stopped/);
});

describe("an outage", () => {
  test("has random delays whose bound doubles, and ends when its time is over", () => {
    const outage = new Outage();
    for (let failures = 1; failures <= 20; failures++) {
      const delayMs = outage.delayMs(failures, 60_000);
      assert.ok(delayMs !== undefined && delayMs <= Math.min(10_000, 100 * 2 ** failures), `${delayMs}`);
    }
    assert.ok((outage.delayMs(20, 50) ?? 0) <= 50, "a delay does not exceed the time left");
    assert.equal(outage.delayMs(1, 0), undefined);
  });

  test("starts again after a success", async () => {
    const outage = new Outage();
    outage.delayMs(1, 10);
    await pause(20, undefined);
    assert.equal(outage.delayMs(2, 10), undefined);
    outage.end();
    assert.notEqual(outage.delayMs(1, 10), undefined);
  });
});
