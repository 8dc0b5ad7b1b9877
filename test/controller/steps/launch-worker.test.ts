import assert from "node:assert/strict";
import { test } from "node:test";
import { runInstances } from "../../../controller/steps/launch-worker.js";
import { planOf } from "../plans.js";

const launch = {
  ...({ kind: "launch", imageId: "ami-0123", subnetId: "subnet-0123", instanceType: "m5.large" } as const),
  ...{ profile: "blockferry-agent" },
};

test("a launched worker gives its metadata to IMDSv2 alone, one hop away, and has no public address and no key pair", () => {
  for (const securityGroupIds of [[], ["sg-0123"]]) {
    const plan = planOf({}, { workerInstance: { ...launch, securityGroupIds } });
    const { input } = runInstances(plan);
    const { MetadataOptions, NetworkInterfaces = [] } = input;
    const expected = { HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpEndpoint: "enabled" };
    assert.deepEqual(MetadataOptions, expected);
    assert.equal(NetworkInterfaces.length, 1);
    assert.equal(NetworkInterfaces[0]?.AssociatePublicIpAddress, false);
    assert.deepEqual(NetworkInterfaces[0]?.Groups ?? [], securityGroupIds);
    assert.equal(input.KeyName, undefined);
    assert.deepEqual(runInstances(plan, true).input.MetadataOptions, expected, "as the dry run asks for it");
  }
});
