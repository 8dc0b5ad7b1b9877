import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { awsError } from "../../../controller/aws/aws-errors.js";

const CALL = {
  action: "ec2:RunInstances",
  principal: "arn:aws:iam::222222222222:role/blockferry",
  object: "ami-0123",
};

const SAID: [name: string, code: string, remedy: RegExp, more?: object][] = [
  ["UnauthorizedOperation", "AwsAccessDenied", /Allow .*role\/blockferry the action ec2:RunInstances/],
  ["AuthFailure", "CredentialsInvalid", /credentials.*clock.*Region is enabled.*which account owns ami-0123/],
  ["ExpiredToken", "CredentialsInvalid", /log in again/],
  ["RequestLimitExceeded", "AwsUnavailable", /throttles the account's requests/],
  ["VcpuLimitExceeded", "AwsLimitExceeded", /quota/],
  [
    "InsufficientInstanceCapacity",
    "AwsOutOfCapacity",
    /a higher quota does not help.*--worker-type.*--worker-subnet/,
  ],
  ["InsufficientCapacityOnHost", "AwsOutOfCapacity", /Run it again later/],
  ["InsufficientVolumeCapacity", "AwsOutOfCapacity", /--volume-type/],
  ["InvalidAMIID.NotFound", "AwsResourceNotFound", /ami-0123 exists/],
  ["Unavailable", "AwsUnavailable", /health\.aws/],
  ["Error", "AwsUnavailable", /network/, { code: "EAI_AGAIN" }],
  ["Error", "AwsUnavailable", /network/, { code: "ECONNREFUSED" }],
  ["InvalidParameterValue", "AwsRefused", /Fix/],
];

describe("an error of AWS", () => {
  for (const [name, code, remedy, more = {}] of SAID) {
    test(`${[name, ...Object.values(more)].join(" ")} is ${code}, and says what to do`, () => {
      const error = awsError(CALL, Object.assign(new Error("It failed."), { name, ...more }));
      assert.equal(error.code, code);
      assert.match(error.remedy, remedy);
      assert.match(error.message, /^ec2:RunInstances on ami-0123 failed: \w+[.\w]*: It failed\.$/);
    });
  }
});
