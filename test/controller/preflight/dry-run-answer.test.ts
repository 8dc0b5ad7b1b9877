import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { awsError } from "../../../controller/aws/aws-errors.js";
import { heedAnswer, PreflightFindings } from "../../../controller/preflight/dry-runs.js";

const PROBLEMS = {
  UnauthorizedOperation: "AwsAccessDenied",
  InvalidParameterValue: "AwsRefused",
  InvalidParameterCombination: "AwsRefused",
  UnknownVolumeType: "AwsRefused",
  UnsupportedOperation: "AwsRefused",
  Unsupported: "AwsRefused",
  OptInRequired: "AwsRefused",
  "InvalidSubnetID.NotFound": "AwsResourceNotFound",
  "InvalidGroup.NotFound": "AwsResourceNotFound",
  "InvalidAMIID.Malformed": "AwsRefused",
  "InvalidAMIID.Unavailable": "AwsRefused",
  VolumeLimitExceeded: "AwsLimitExceeded",
  VcpuLimitExceeded: "AwsLimitExceeded",
  RequestLimitExceeded: "AwsUnavailable",
  AuthFailure: "CredentialsInvalid",
};
const NOTES = [
  ...["IncorrectState", "IncorrectInstanceState", "InsufficientInstanceCapacity"],
  ...["InsufficientFreeAddressesInSubnet", "ConcurrentSnapshotLimitExceeded", "SomethingUnheardOf"],
];

describe("an answer to a dry run", () => {
  for (const [awsCode, code] of Object.entries(PROBLEMS)) {
    test(`of ${awsCode} is a problem`, async () => {
      const { problems, notes } = await heeding(awsCode);
      assert.deepEqual([problems.map((problem) => problem.code), notes], [[code], []]);
    });
  }

  for (const awsCode of NOTES) {
    test(`of ${awsCode} is a note`, async () => {
      const { problems, notes } = await heeding(awsCode);
      assert.deepEqual([problems, notes.length], [[], 1]);
      assert.match(notes[0] ?? "", new RegExp(`ec2:CreateVolume .*${awsCode}`));
    });
  }

  test("that it would have succeeded is neither", async () => {
    const { problems, notes } = await heeding("DryRunOperation");
    assert.deepEqual([problems, notes], [[], []]);
  });
});

async function heeding(awsCode: string): Promise<PreflightFindings> {
  const findings = new PreflightFindings();
  const cause = Object.assign(new Error("Not like that."), { name: awsCode });
  const call = { action: "ec2:CreateVolume", principal: "arn:aws:iam::1:role/worker", object: "volumes" };
  await heedAnswer(findings, () => Promise.reject(awsError(call, cause)));
  return findings;
}
