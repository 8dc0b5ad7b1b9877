import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { before, beforeEach, describe, test } from "node:test";
import { isProtected } from "../../../repository/storage/s3/s3-client.js";
import { agent, startAgent } from "../../support/agent.js";
import { controller } from "../../support/controller.js";
import { byDepth, fullDepthOnly } from "../../support/depth.js";
import { type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { WORKER } from "../../support/jobs.js";
import { startMetadataServer } from "../../support/metadata-server.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { failure } from "../../support/repositories.js";
import { S3Objects } from "../../support/s3-objects.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";

/** An address of this machine that is also used for packets to and from other machines. */
const host = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
const needed = host === undefined && "needs an IPv4 address besides those of the loopback device";
const skip = byDepth({ quick: needed, full: false });

const isPart = ({ method, url }: ProxiedRequest) => method === "PUT" && /partNumber=/i.test(url);
const SHA256 = /^[0-9a-f]{64}$/;
const ALLOWED = { BLOCKFERRY_ALLOW_INSECURE_HTTP: "1" };

describe("an S3 server over http on another machine's kind of address", { skip }, async () => {
  assert.ok(host !== undefined, "this machine has no address but those of the loopback device");
  const { endpointUrl: onLoopback } = await startS3Server("moto");
  const proxy = await startFaultProxy(onLoopback, host);
  const local = await startFaultProxy(onLoopback);
  const objects = new S3Objects(onLoopback);
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const config = join(folder, "aws-config");
  const repo = `s3://${BUCKET}/insecure`;
  const AWAY = { AWS_ENDPOINT_URL: proxy.endpointUrl };
  const byOption = ["--endpoint-url", proxy.endpointUrl];
  const backup = ["backup", "--repo", repo, "--device", image, "--json"];

  before(async () => {
    await writeRandomFile(image, 9_000_000, SeededRandom.fresh());
    const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret } = S3_ENVIRONMENT;
    await writeFile(
      config,
      `[profile away]\nendpoint_url = ${proxy.endpointUrl}\naws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`,
    );
    const { code, stdout } = await agent("init", "--repo", repo, "--force-path-style", "--json");
    assert.equal(code, 0, stdout);
  });
  beforeEach(() => {
    proxy.requests.length = 0;
    local.requests.length = 0;
  });

  const NAMED: { by: string; options?: string[]; env?: NodeJS.ProcessEnv }[] = [
    { by: "--endpoint-url", options: byOption },
    { by: "AWS_ENDPOINT_URL", env: AWAY },
    { by: "AWS_ENDPOINT_URL_S3", env: { AWS_ENDPOINT_URL_S3: proxy.endpointUrl } },
    {
      by: "a profile",
      env: { AWS_CONFIG_FILE: config, AWS_PROFILE: "away", AWS_ENDPOINT_URL: undefined },
    },
  ];
  for (const { by, options = [], env } of NAMED) {
    test(`is refused, and sent nothing, where ${by} names it`, async () => {
      for (const command of [["list", "--repo", repo, "--json"], backup]) {
        const error = failure(1, await startAgent([...command, ...options], env).result);
        assert.equal(error.code, "InsecureEndpoint");
        assert.match(error.message, new RegExp(host.replaceAll(".", "\\.")));
        assert.match(error.remedy, /--allow-insecure-http/);
      }
      const ofController = ["points", "--repo", repo, "--json", ...options];
      assert.equal(failure(1, await controller(ofController, env)).code, "InsecureEndpoint");
      assert.deepEqual(proxy.requests, []);
    });
  }

  test("is refused for either repository of a copy", fullDepthOnly, async () => {
    const other = join(await tempFolder(), "repo");
    assert.equal((await agent("init", "--repo", other)).code, 0);
    for (const ways of [
      ["--from", repo, "--to", other],
      ["--from", other, "--to", repo],
    ]) {
      const error = failure(1, await startAgent(["copy", ...ways, "--json"], AWAY).result);
      assert.equal(error.code, "InsecureEndpoint");
    }
    assert.deepEqual(proxy.requests, []);
  });

  test("gets the hash of every part in its signature where http is allowed", fullDepthOnly, async () => {
    for (const [options, env] of [
      [["--allow-insecure-http"], {}],
      [[], ALLOWED],
    ] as const) {
      proxy.requests.length = 0;
      const name = `s3://${BUCKET}/allowed-${options.length}`;
      for (const command of [
        ["init", "--repo", name],
        ["backup", "--repo", name, "--device", image],
      ]) {
        const run = startAgent([...command, "--json", ...options], { ...AWAY, ...env });
        const { code, stdout } = await run.result;
        assert.equal(code, 0, stdout);
      }
      const hashOf = ({ headers }: ProxiedRequest) => String(headers["x-amz-content-sha256"]);
      for (const request of proxy.requests) assert.match(hashOf(request), SHA256, request.url);
      const part = proxy.requests.find(({ url }) => /\/packs\/.*partNumber=1\b/i.test(url)) as ProxiedRequest;
      const pack = new URL(part.url, proxy.endpointUrl).pathname.slice(`/${BUCKET}/`.length);
      const sent = (await objects.get(pack)).subarray(0, part.bodyBytes);
      assert.equal(hashOf(part), createHash("sha256").update(sent).digest("hex"));
    }
  });

  test("is served by a worker only where its image or its user data allow http", fullDepthOnly, async () => {
    const serveWith = async (allowed: object, env: NodeJS.ProcessEnv = {}) => {
      const said = { repo, endpointUrl: proxy.endpointUrl, forcePathStyle: true, ...allowed };
      const userData = JSON.stringify({ blockferry: said });
      const metadata = await startMetadataServer({ instanceId: WORKER, userData });
      return startAgent(["serve", "--once", "--json"], { ...metadata.env, ...env }).result;
    };
    assert.equal(failure(1, await serveWith({})).code, "InsecureEndpoint");
    assert.deepEqual(proxy.requests, []);
    for (const result of [await serveWith({ allowInsecureHttp: true }), await serveWith({}, ALLOWED)]) {
      assert.equal(result.code, 0, result.stdout);
    }
  });

  test(
    "on the loopback device needs no permission, and gets parts without a hash",
    fullDepthOnly,
    async () => {
      const { code, stdout } = await startAgent(backup, { AWS_ENDPOINT_URL: local.endpointUrl }).result;
      assert.equal(code, 0, stdout);
      const hashes = local.requests.filter(isPart).map(({ headers }) => headers["x-amz-content-sha256"]);
      assert.deepEqual(new Set(hashes), new Set(["UNSIGNED-PAYLOAD"]));
    },
  );
});

test("http is taken for protected on the loopback device alone, however its address is written", () => {
  const protects = (url: string) => isProtected(new URL(url));
  for (const own of ["127.0.0.1", "127.8.9.10", "127.1", "[::1]", "[::ffff:127.0.0.1]", "LocalHost"]) {
    assert.ok(protects(`http://${own}:9000`), own);
  }
  for (const other of [
    ...["192.0.2.1", "128.0.0.1", "0.0.0.0", "[::]", "[fe80::1]", "[::2]", "169.254.169.254"],
    ...["localhost.example.com", "127.0.0.1.example.com", "bucket.localhost", "s3"],
  ]) {
    assert.ok(!protects(`http://${other}:9000`), other);
    assert.ok(protects(`https://${other}:9000`), other);
  }
});
