import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { howToAllow } from "../../../controller/aws/instances.js";
import { SOURCE_KEY, WORKER_KEY } from "../plans.js";

const WORKER = {
  ...({ name: "worker", accountId: "222222222222" } as const),
  principalArn: "arn:aws:iam::222222222222:role/blockferry-worker",
};

describe("how a key is allowed", () => {
  test("in the party's own account is up to the policy of its role", () => {
    for (const key of [WORKER_KEY, "alias/aws/ebs"]) {
      const remedy = howToAllow(WORKER, [key]);
      assert.match(remedy, /blockferry iam-policy --for worker/);
      assert.doesNotMatch(remedy, /--for key-policy/);
    }
    assert.match(howToAllow({ ...WORKER, name: "source" }, [WORKER_KEY]), /--for source/);
  });

  test("in another account is up to the key's policy as well", () => {
    const remedy = howToAllow(WORKER, [SOURCE_KEY]);
    assert.match(remedy, /--for worker.*--for key-policy/);
    assert.doesNotMatch(remedy, /must delegate this/);
  });

  test("is described for each key separately", () => {
    const remedy = howToAllow(WORKER, [SOURCE_KEY, WORKER_KEY]);
    assert.match(remedy, new RegExp(`The key policy of ${SOURCE_KEY}, in another account`));
    assert.match(remedy, /a key in account 222222222222 must delegate/);
  });
});
