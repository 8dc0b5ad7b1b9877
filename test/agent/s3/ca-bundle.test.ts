import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { makeCertificates, startTlsServer } from "../../support/http-proxy.js";
import { failure } from "../../support/repositories.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

describe("a server with the certificate of a private CA", needing("openssl"), async () => {
  const certificates = await makeCertificates();
  const { caFile } = certificates;
  const other = await makeCertificates();
  const { endpointUrl } = await startS3Server("moto");
  const port = await startTlsServer(endpointUrl, certificates);
  const folder = await tempFolder();
  const repo = `s3://${BUCKET}/tls`;
  const run = (args: string[], env: NodeJS.ProcessEnv, host = "localhost") =>
    startAgent([...args, "--repo", repo, "--force-path-style", "--json"], {
      ...{ AWS_CA_BUNDLE: undefined, NODE_EXTRA_CA_CERTS: undefined },
      AWS_ENDPOINT_URL: `https://${host}:${port}`,
      ...env,
    }).result;

  for (const [by, env] of [
    ["AWS_CA_BUNDLE", { AWS_CA_BUNDLE: caFile }],
    ["NODE_EXTRA_CA_CERTS", { NODE_EXTRA_CA_CERTS: caFile }],
    ["either of the two", { AWS_CA_BUNDLE: other.caFile, NODE_EXTRA_CA_CERTS: caFile }],
  ] as const) {
    test(`is trusted by ${by}`, async () => {
      const { code, stdout } = await run(["init"], env);
      assert.ok(
        code === 0 || failure(1, { code, stdout, stderr: "", signal: null }).code === "RepositoryExists",
      );
    });
  }

  test("is not trusted otherwise, and the remedy names the bundle in use", async () => {
    for (const [env, remedy] of [
      [{}, /No bundle of CAs is named.*set AWS_CA_BUNDLE/],
      [{ AWS_CA_BUNDLE: other.caFile }, new RegExp(`without this CA: AWS_CA_BUNDLE \\(${other.caFile}\\)`)],
      [{ NODE_EXTRA_CA_CERTS: other.caFile }, new RegExp(`NODE_EXTRA_CA_CERTS \\(${other.caFile}\\)`)],
    ] as const) {
      const error = failure(1, await run(["list"], env));
      assert.equal(error.code, "CertificateUntrusted", error.message);
      assert.match(error.remedy, remedy);
    }
    const error = failure(1, await run(["list"], { AWS_CA_BUNDLE: caFile }, "127.0.0.1"));
    assert.equal(error.code, "CertificateUntrusted", error.message);
    assert.match(error.remedy, /for other hosts/);
  });

  test("is not asked for where AWS_CA_BUNDLE names no certificates", fullDepthOnly, async () => {
    const bad = join(folder, "bad.pem");
    for (const [path, content, message] of [
      [join(folder, "missing.pem"), undefined, /cannot be read: ENOENT/],
      [bad, "nothing\n", /holds no certificate/],
      [bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /certificate number 1/],
    ] as const) {
      if (content !== undefined) await writeFile(path, content);
      const error = failure(2, await run(["list"], { AWS_CA_BUNDLE: path }));
      assert.equal(error.code, "Usage");
      assert.match(error.message, message);
      assert.ok(error.message.includes(path));
    }
  });
});
