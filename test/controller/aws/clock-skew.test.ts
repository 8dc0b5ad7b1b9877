import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DescribeVolumesCommand } from "@aws-sdk/client-ec2";
import { openParty } from "../../../controller/aws/party.js";
import { startFaultProxy, wrongDateRefused } from "../../support/fault-proxy.js";
import { startS3Server } from "../../support/s3-server.js";

const HOUR_MS = 3_600_000;
const error = (code: string) =>
  `<Error><Code>${code}</Code><Message>Made by the test's proxy</Message></Error>`;
const ofSts = (code: string) => ({ status: 403, body: `<ErrorResponse>${error(code)}</ErrorResponse>` });
const ofEc2 = (code: string) => ({
  status: 400,
  body: `<Response><Errors>${error(code)}</Errors><RequestID>1</RequestID></Response>`,
});

describe("an account of AWS whose clock differs by an hour", async () => {
  const server = await startS3Server("moto");
  const proxy = await startFaultProxy(server.endpointUrl);
  const access = { profile: null, roleArn: null, externalId: null, region: "us-east-1" };

  test("is asked again with its own time, once for each service", async () => {
    process.env.AWS_ENDPOINT_URL = proxy.endpointUrl;
    proxy.clockAheadMs = HOUR_MS;
    proxy.chooseFault = wrongDateRefused(proxy, ofSts("SignatureDoesNotMatch"));
    const party = await openParty("source", access);
    assert.match(party.accountId, /^\d{12}$/);
    proxy.chooseFault = wrongDateRefused(proxy, ofEc2("RequestExpired"));
    await party.ec2(new DescribeVolumesCommand(), "the volumes");
    const missing = new DescribeVolumesCommand({ VolumeIds: ["vol-0123456789abcdef0"] });
    await assert.rejects(party.ec2(missing, "a volume"), { code: "AwsResourceNotFound" });
    assert.deepEqual(
      proxy.requests.map(({ status }) => status),
      [undefined, 200, undefined, 200, 400],
    );
  });
});
