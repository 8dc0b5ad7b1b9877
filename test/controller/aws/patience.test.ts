import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Patience } from "../../../controller/aws/clients.js";

const ENDPOINT = "ec2.us-east-1";

/** Makes an account that has answered once. Its next calls fail with `errors`. */
async function account(outageMs: number, errors: Error[]) {
  const renewals: number[] = [];
  const patience = new Patience(outageMs, () => renewals.push(errors.length));
  await patience.keepTrying(ENDPOINT, async () => "hello");
  const call = async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return "answer";
  };
  return { patience, call, renewals };
}

function named(name: string, more: object = {}): Error {
  return Object.assign(new Error(name), { name, ...more });
}

const LOOKUP = named("Error", { code: "EAI_AGAIN" });
const DOWN = named("Unavailable", { $metadata: { httpStatusCode: 503 } });

describe("a call to AWS", () => {
  for (const error of [
    ...[LOOKUP, DOWN, named("Error", { code: "ECONNRESET" }), named("TimeoutError")],
    ...[named("RequestLimitExceeded"), named("ThrottlingException"), named("ExpiredToken")],
    named("SnapshotCreationPerVolumeRateExceeded"),
  ]) {
    test(`is made again after ${error.name} ${"code" in error ? error.code : ""}`, async () => {
      const { patience, call } = await account(60_000, [error, error]);
      assert.equal(await patience.keepTrying(ENDPOINT, call), "answer");
    });
  }

  for (const [name, httpStatusCode] of [
    ["UnauthorizedOperation", 403],
    ["AuthFailure", 401],
    ["InsufficientInstanceCapacity", 500],
  ] as const) {
    test(`is not made again after ${name}`, async () => {
      const { patience, call } = await account(60_000, [named(name, { $metadata: { httpStatusCode } })]);
      await assert.rejects(patience.keepTrying(ENDPOINT, call), { name });
    });
  }

  const skewed = (name: string, httpStatusCode = 403) =>
    named(name, { $metadata: { httpStatusCode, clockSkewCorrected: true } });

  test("is made again once after a wrong date, whatever was answered before, with the same credentials", async () => {
    for (const name of ["RequestExpired", "AuthFailure", "SignatureDoesNotMatch", "RequestTimeTooSkewed"]) {
      const errors = [skewed(name)];
      const patience = new Patience(60_000, () => assert.fail("the credentials are right"));
      const call = async () => {
        const error = errors.shift();
        if (error !== undefined) throw error;
        return "answer";
      };
      assert.equal(await patience.keepTrying(ENDPOINT, call), "answer", name);
      if (name === "RequestExpired") continue;
      errors.push(skewed(name), skewed(name), skewed(name));
      await assert.rejects(patience.keepTrying(ENDPOINT, call), { name });
      assert.equal(errors.length, 1, name);
    }
  });

  for (const [name, status] of [
    ["UnauthorizedOperation", 403],
    ["InvalidVolume.NotFound", 400],
    ["DryRunOperation", 412],
  ] as const) {
    test(`is not made again after ${name} of a service whose clock differs`, async () => {
      const { patience, call } = await account(60_000, [skewed(name, status)]);
      await assert.rejects(patience.keepTrying(ENDPOINT, call), { name });
    });
  }

  test("fails when nothing was answered for too long, and the next ones at once until something is", async () => {
    const errors = Array.from({ length: 1000 }, () => DOWN);
    const { patience, call } = await account(100, errors);
    await assert.rejects(patience.keepTrying(ENDPOINT, call), DOWN);
    const { length } = errors;
    await assert.rejects(patience.keepTrying(ENDPOINT, call), DOWN);
    assert.equal(errors.length, length - 1);
    errors.length = 0;
    await patience.keepTrying(ENDPOINT, call);
    errors.push(DOWN);
    assert.equal(await patience.keepTrying(ENDPOINT, call), "answer");
  });

  test("ends with the signal's reason at once", async () => {
    const interrupt = new AbortController();
    const { patience } = await account(600_000, []);
    const tried = patience.keepTrying(ENDPOINT, () => Promise.reject(DOWN), interrupt.signal);
    setImmediate(() => interrupt.abort(named("Interrupted")));
    await assert.rejects(tried, { name: "Interrupted" });
  });

  test("has its credentials asked for again when they have expired", async () => {
    const { patience, call, renewals } = await account(60_000, [
      named("ExpiredToken"),
      named("RequestExpired"),
    ]);
    await patience.keepTrying(ENDPOINT, call);
    assert.deepEqual(renewals, [1, 0]);
  });

  test("does not wait for credentials that were never valid", async () => {
    const patience = new Patience(60_000, () => assert.fail("there is nothing to renew"));
    const call = () => Promise.reject(named("ExpiredToken"));
    await assert.rejects(patience.keepTrying(ENDPOINT, call), { name: "ExpiredToken" });
  });
});
