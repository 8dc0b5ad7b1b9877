import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { DescribeVolumesCommand } from "@aws-sdk/client-ec2";
import { GetInstanceProfileCommand } from "@aws-sdk/client-iam";
import { ListAliasesCommand } from "@aws-sdk/client-kms";
import { openParty } from "../../../controller/aws/party.js";
import { makeCertificates, startHttpProxy, startTlsServer } from "../../support/http-proxy.js";
import { startS3Server } from "../../support/s3-server.js";
import { needing } from "../../support/tools.js";

describe("an AWS account that only a proxy reaches", needing("openssl"), async () => {
  const certificates = await makeCertificates();
  const { endpointUrl } = await startS3Server("moto");
  const proxy = await startHttpProxy(endpointUrl, await startTlsServer(endpointUrl, certificates));
  const access = { profile: null, roleArn: null, externalId: null, region: "us-east-1" };

  before(() => {
    for (const name of ["HTTP_PROXY", "NO_PROXY", "no_proxy", "https_proxy"]) delete process.env[name];
    process.env.AWS_ENDPOINT_URL = "https://aws.internal";
    process.env.AWS_CA_BUNDLE = certificates.caFile;
    process.env.HTTPS_PROXY = `http://me:secret@127.0.0.1:${proxy.port}`;
    process.env.BLOCKFERRY_OUTAGE_TIMEOUT_MS = "300";
  });
  beforeEach(() => {
    proxy.requests.length = 0;
    proxy.refuse = () => undefined;
  });

  test("is reached through it for STS, EC2, KMS and IAM, with a role as well", async () => {
    for (const roleArn of [null, "arn:aws:iam::123456789012:role/blockferry"]) {
      const party = await openParty("source", { ...access, roleArn });
      assert.match(party.accountId, /^\d{12}$/);
      await party.ec2(new DescribeVolumesCommand(), "the volumes");
      await party.kms(new ListAliasesCommand(), "the aliases", "us-east-1");
      const missing = new GetInstanceProfileCommand({ InstanceProfileName: "none" });
      await assert.rejects(party.iam(missing, "a profile"), { code: /AwsRefused|AwsResourceNotFound/ });
    }
    assert.deepEqual([...new Set(proxy.requests)], ["CONNECT aws.internal:443"]);
  });

  for (const status of [407, 503]) {
    test(`has errors that name the proxy, and not its password, where it answers ${status}`, async () => {
      proxy.refuse = () => status;
      await assert.rejects(openParty("source", access), (error: Error & { code: string }) => {
        assert.equal(error.code, "ProxyFailed");
        assert.match(error.message, /through the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\)/);
        return !error.message.includes("secret");
      });
    });
  }

  test("has errors with a remedy where its certificate is not trusted", async () => {
    process.env.AWS_CA_BUNDLE = (await makeCertificates()).caFile;
    await assert.rejects(openParty("source", access), (error: Error & { code: string; remedy: string }) => {
      assert.equal(error.code, "CertificateUntrusted");
      return error.remedy.includes(`AWS_CA_BUNDLE (${process.env.AWS_CA_BUNDLE})`);
    });
  });
});
