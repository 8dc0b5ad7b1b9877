import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, beforeEach, describe, test } from "node:test";
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { makeCertificates, startHttpProxy, startTlsServer } from "../../support/http-proxy.js";
import { startMetadataServer } from "../../support/metadata-server.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { failure } from "../../support/repositories.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const PASSWORD = "s3cret@proxy";
const THREADS = 2;

describe("a server that only a proxy reaches", needing("openssl"), async () => {
  const certificates = await makeCertificates();
  const { endpointUrl } = await startS3Server("moto");
  const tlsPort = await startTlsServer(endpointUrl, certificates);
  const proxy = await startHttpProxy(endpointUrl, tlsPort);
  const proxyUrl = `http://127.0.0.1:${proxy.port}`;
  const user = `me:${encodeURIComponent(PASSWORD)}`;
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const repo = `s3://${BUCKET}/behind`;

  /** No name below `internal` can be resolved: only the proxy knows the server. */
  const BEHIND = {
    AWS_ENDPOINT_URL: "https://aws.internal",
    HTTPS_PROXY: `http://${user}@127.0.0.1:${proxy.port}`,
    AWS_CA_BUNDLE: certificates.caFile,
    ...{ HTTP_PROXY: undefined, NO_PROXY: undefined, NODE_EXTRA_CA_CERTS: undefined },
    BLOCKFERRY_OUTAGE_TIMEOUT_MS: "300",
  };
  const run = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    startAgent([...args, "--json"], { ...BEHIND, ...env }).result;
  const runs = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
    const { code, stdout, stderr } = await run(args, env);
    assert.equal(code, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
  };
  const list = ["list", "--repo", repo, "--force-path-style"];

  before(async () => {
    await writeRandomFile(image, 6_000_000, SeededRandom.fresh());
    await runs(["init", "--repo", repo, "--force-path-style"]);
  });
  beforeEach(() => {
    proxy.requests.length = 0;
    proxy.users.length = 0;
    proxy.refuse = () => undefined;
  });

  test("is reached through it by each thread and for KMS", async () => {
    const { KeyMetadata } = await new KMSClient({ endpoint: endpointUrl }).send(new CreateKeyCommand());
    const encrypted = `s3://${BUCKET}/encrypted`;
    const target = join(folder, "restored.img");
    const at = ["--repo", encrypted, "--force-path-style"];
    await runs(["init", ...at, "--encrypt", `kms:${KeyMetadata?.Arn}`], {
      AWS_ENDPOINT_URL_KMS: "https://kms.internal",
    });
    assert.deepEqual([...new Set(proxy.requests)].sort(), [
      "CONNECT aws.internal:443",
      "CONNECT kms.internal:443",
    ]);
    proxy.requests.length = 0;
    await runs(["backup", ...at, "--device", image, `--threads=${THREADS}`]);
    assert.ok(proxy.requests.length > THREADS, proxy.requests.join());
    assert.deepEqual(new Set(proxy.users), new Set([`me:${PASSWORD}`]));
    await runs(["restore", ...at, "--point", "latest", "--target", target]);
    await assertSameContent(target, image);
  });

  test("is reached through a proxy over https", fullDepthOnly, async () => {
    const secure = await startHttpProxy(endpointUrl, tlsPort, certificates);
    const HTTPS_PROXY = `https://${user}@localhost:${secure.port}`;
    await runs(list, { HTTPS_PROXY });
    assert.deepEqual([...new Set(secure.requests)], ["CONNECT aws.internal:443"]);
    const options = ["--allow-insecure-http"];
    const http = { AWS_ENDPOINT_URL: "http://aws.internal", HTTP_PROXY: HTTPS_PROXY };
    await runs([...list, ...options], http);
    assert.match(secure.requests.at(-1) ?? "", /^GET http:\/\/aws\.internal\//);
    assert.deepEqual(new Set(secure.users), new Set([`me:${PASSWORD}`]));
  });

  test("is not asked for by way of the proxy where NO_PROXY or the loopback device exempts it", async () => {
    const error = failure(1, await run(list, { NO_PROXY: "internal" }));
    assert.equal(error.code, "StorageUnavailable");
    assert.match(error.message, /ENOTFOUND aws\.internal/);
    assert.doesNotMatch(error.message, /proxy/);
    await runs(list, { AWS_ENDPOINT_URL: endpointUrl, HTTP_PROXY: proxyUrl });
    await runs(list, { AWS_ENDPOINT_URL: `https://localhost:${tlsPort}` });
    assert.deepEqual(proxy.requests, []);
  });

  for (const { status, tries, remedy } of [
    { status: 407, tries: "one", remedy: /http:\/\/USER:PASSWORD@HOST:PORT/ },
    { status: 403, tries: "one", remedy: /NO_PROXY/ },
    { status: 503, tries: "several", remedy: /proxy's log/ },
  ]) {
    test(`is ProxyFailed after ${tries} where the proxy answers ${status}`, async () => {
      proxy.refuse = () => status;
      const result = await run(list);
      const error = failure(1, result);
      assert.equal(error.code, "ProxyFailed");
      assert.match(
        error.message,
        new RegExp(`HTTP ${status}.*, through the proxy ${proxyUrl} \\(HTTPS_PROXY\\)`),
      );
      assert.match(error.remedy, remedy);
      assert.equal(proxy.requests.length === 1 ? "one" : "several", tries);
      assert.ok(!(result.stdout + result.stderr).includes(PASSWORD.slice(0, 6)), "no password is shown");
    });
  }

  test("is unavailable where the proxy does not answer", fullDepthOnly, async () => {
    proxy.refuse = () => "silence";
    const error = failure(
      1,
      await run([...list, "--request-timeout=1"], { BLOCKFERRY_OUTAGE_TIMEOUT_MS: "1500" }),
    );
    assert.equal(error.code, "StorageUnavailable");
    assert.match(error.message, /1000 ms.*, through the proxy/);
    assert.ok(proxy.requests.length > 1);
  });

  test("is ProxyFailed where the proxy cannot be reached, for KMS as well", async () => {
    const nowhere = { HTTPS_PROXY: `http://${user}@127.0.0.1:1`, HTTP_PROXY: undefined };
    const key = "kms:arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
    for (const args of [list, ["init", "--repo", join(folder, "none"), "--encrypt", key]]) {
      const error = failure(1, await run(args, nowhere));
      assert.equal(error.code, "ProxyFailed", error.message);
      assert.match(
        error.message,
        /ECONNREFUSED.*, through the proxy http:\/\/127\.0\.0\.1:1 \(HTTPS_PROXY\)/,
      );
    }
  });

  test("is not called damaged where the proxy refuses it during a verification", fullDepthOnly, async () => {
    const at = ["--repo", `s3://${BUCKET}/verified`, "--force-path-style"];
    await runs(["init", ...at]);
    await runs(["backup", ...at, "--device", image]);
    proxy.refuse = (request) => (/^GET .*\/packs\//.test(request) ? 407 : undefined);
    const verify = ["verify", ...at, "--read-data", "--allow-insecure-http"];
    const http = { AWS_ENDPOINT_URL: "http://aws.internal", HTTP_PROXY: proxyUrl };
    assert.equal(failure(1, await run(verify, http)).code, "ProxyFailed");
  });

  test("gets nothing over http, unless that is allowed: then every request goes to the proxy", async () => {
    const http = { AWS_ENDPOINT_URL: "http://aws.internal", HTTP_PROXY: proxyUrl };
    const error = failure(1, await run(list, http));
    assert.equal(error.code, "InsecureEndpoint");
    assert.match(
      error.message,
      new RegExp(`http://aws\\.internal, through the proxy ${proxyUrl} \\(HTTP_PROXY\\)`),
    );
    assert.deepEqual(proxy.requests, []);
    const options = ["--allow-insecure-http", "--force-path-style", "--threads=2"];
    await runs(["backup", "--repo", repo, "--device", image, ...options], http);
    assert.ok(proxy.requests.every((request) => / http:\/\/aws\.internal\/test-bucket/.test(request)));
    assert.ok(proxy.requests.some((request) => /^(PUT|POST) .*\/packs\//.test(request)));
    for (const [status, code] of [
      [403, "StorageDenied"],
      [407, "ProxyFailed"],
    ] as const) {
      proxy.refuse = () => status;
      const refused = failure(1, await run([...list, "--allow-insecure-http"], http));
      assert.equal(refused.code, code, refused.message);
      assert.match(refused.message, /through the proxy/);
    }
  });

  test("is not asked for where the variable is not the URL of a proxy", async () => {
    const error = failure(2, await run(list, { HTTPS_PROXY: `socks5://${user}@127.0.0.1` }));
    assert.equal(error.code, "Usage");
    assert.match(error.message, /^HTTPS_PROXY is not the URL/);
  });

  test("has credentials that the instance gets without the proxy, and IAM Identity Center through it", async () => {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = S3_ENVIRONMENT;
    const { env, requests } = await startMetadataServer({
      ...{ instanceId: undefined, userData: undefined, credentials: { accessKeyId, secretAccessKey } },
    });
    const without = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
    const metadata = { ...without, AWS_EC2_METADATA_DISABLED: undefined, ...env };
    await runs(list, { ...metadata, HTTP_PROXY: proxyUrl, NODE_USE_ENV_PROXY: "1" });
    assert.ok(requests.length > 0, "the credentials were asked for");
    assert.deepEqual([...new Set(proxy.requests)], ["CONNECT aws.internal:443"]);

    const config = join(folder, "config");
    const cache = join(folder, ".aws", "sso", "cache");
    await mkdir(cache, { recursive: true });
    await writeFile(
      config,
      "[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://sso.internal\n",
    );
    const token = { accessToken: "token", expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
    const name = createHash("sha1").update("s").digest("hex");
    await writeFile(join(cache, `${name}.json`), JSON.stringify(token));
    const sso = {
      ...{ ...without, HOME: folder, AWS_CONFIG_FILE: config },
      AWS_ENDPOINT_URL_SSO: "https://sso.internal",
    };
    proxy.requests.length = 0;
    proxy.refuse = () => 403;
    const error = failure(1, await run([...list, "--profile", "sso"], sso));
    assert.match(error.message, /through the proxy/);
    assert.deepEqual([...new Set(proxy.requests)], ["CONNECT sso.internal:443"]);
  });
});
