import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClockCorrection, isTransient } from "../../../../repository/storage/s3/transient-errors.js";

interface Seen {
  name?: string;
  code?: string;
  status?: number;
}

/** An error of the SDK, from a server whose clock is right or differs. */
function errorOf({ name = "Error", code, status }: Seen, clockSkewCorrected?: boolean): Error {
  return Object.assign(new Error("It failed."), {
    ...{ name, code },
    $metadata: { httpStatusCode: status, clockSkewCorrected },
  });
}

const TRANSIENT: Seen[] = [
  ...[408, 429, 500, 502, 503, 504, 599].map((status) => ({ status })),
  ...["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND"].map((code) => ({ code })),
  ...["TimeoutError", "ThrottlingException", "BodyLost"].map((name) => ({ name })),
  { name: "RequestTimeout", status: 400 },
  { name: "BadDigest", status: 400 },
  { name: "OperationAborted", status: 409 },
  { name: "ConditionalRequestConflict", status: 409 },
];

const PERMANENT: Seen[] = [
  {},
  ...[301, 302, 304, 307, 400, 401, 403, 404, 405, 407, 409, 411, 412, 413, 416].map((status) => ({
    status,
  })),
  // The server lacks the feature, the protocol or the space; a network wants a login first.
  ...[501, 505, 507, 511].map((status) => ({ status })),
  ...["EPROTO", "HPE_INVALID_CONSTANT", "CERT_HAS_EXPIRED", "SELF_SIGNED_CERT_IN_CHAIN"].map((code) => ({
    code,
  })),
  { name: "NoSuchKey", status: 404 },
  { name: "PreconditionFailed", status: 412 },
  { name: "AccessDenied", status: 403 },
  { name: "SlowUp", status: 400 },
];

const WRONG_DATE = ["RequestTimeTooSkewed", "RequestExpired", "SignatureDoesNotMatch", "AuthFailure"];

describe("an error", () => {
  test("is transient or not by its name, its status or its code, whatever the clocks are", () => {
    for (const [seen, expected] of [
      ...TRANSIENT.map((error) => [error, true] as const),
      ...PERMANENT.map((error) => [error, false] as const),
    ]) {
      for (const skewed of [undefined, true]) {
        assert.equal(isTransient(errorOf(seen, skewed)), expected, JSON.stringify(seen));
        assert.ok(!new ClockCorrection().allowsRetry(errorOf(seen, skewed)), JSON.stringify(seen));
      }
    }
  });

  for (const name of WRONG_DATE) {
    test(`${name} is met with one more request, if the clocks differ`, () => {
      const [skewed, right] = [errorOf({ name, status: 403 }, true), errorOf({ name, status: 403 })];
      assert.ok(!isTransient(skewed));
      const clock = new ClockCorrection();
      assert.ok(!clock.allowsRetry(right));
      assert.ok(clock.allowsRetry(skewed));
      assert.ok(!clock.allowsRetry(skewed));
    });
  }
});
