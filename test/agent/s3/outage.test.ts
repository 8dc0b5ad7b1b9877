import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { type FaultProxy, type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { startMetadataServer } from "../../support/metadata-server.js";
import { prometheusFamilies } from "../../support/prometheus-families.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { assertRestores, assertWhole, backUp, failure, pointIds } from "../../support/repositories.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";
import { stopwatch, waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;
/** The SDK's number of attempts in programs that ask it to be patient. */
const SDK_ATTEMPTS = 10;
/** Lookups by the main thread: a session token, the role, its credentials. */
const FIRST_LOOKUPS = 3;
/** The longest time that a command may take to end after Ctrl-C. */
const DEADLINE_MS = 5000;

describe("an outage of S3", needing("versitygw"), async () => {
  const random = SeededRandom.fresh();
  const server = await startS3Server("versitygw");
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  before(() => writeRandomFile(image, 100 * MIB, random));

  const isPart = ({ url }: ProxiedRequest) => /partNumber=/i.test(url);
  const isCompletion = ({ method, url }: ProxiedRequest) => method === "POST" && /uploadId=/i.test(url);

  async function newRepository(prefix: string): Promise<{ repo: string; proxy: FaultProxy }> {
    const repo = `s3://${BUCKET}/${prefix}`;
    await agentJson("init", "--repo", repo);
    return { repo, proxy: await startFaultProxy(server.endpointUrl) };
  }

  function start(proxy: FaultProxy, args: string[], env: NodeJS.ProcessEnv = {}) {
    return startAgent([...args, "--threads=1", "--json"], { AWS_ENDPOINT_URL: proxy.endpointUrl, ...env });
  }

  test("in the middle of a backup is waited out, longer than the SDK would", fullDepthOnly, async () => {
    const { repo, proxy } = await newRepository("waited-out");
    const failures = new Map<string, number>();
    const isOver = () => Math.max(0, ...failures.values()) > SDK_ATTEMPTS;
    proxy.chooseFault = (request) => {
      const hasStarted = proxy.requests.some((earlier) => isPart(earlier) && earlier.status === 200);
      if (!hasStarted || isOver()) return undefined;
      failures.set(request.url, (failures.get(request.url) ?? 0) + 1);
      return "cut-request";
    };
    const metrics = join(folder, "waited-out.prom");
    const args = ["backup", "--repo", repo, "--device", image, "--metrics-file", metrics];
    const { code, stdout } = await start(proxy, args).result;
    assert.equal(code, 0, stdout);
    assert.ok(isOver(), "the outage was met");
    const families = await prometheusFamilies(await readFile(metrics, "utf8"));
    const retries = families.find((family) => family.name === "blockferry_run_retries");
    const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
    assert.equal(retries?.samples[0]?.value, failed, "each failure is counted, in every thread");
    await assertRestores(repo, "latest", image, join(folder, "waited-out.img"));
  });

  test("that lasts ends a backup with the reason, and the next one goes on", async () => {
    const { repo, proxy } = await newRepository("lasting");
    proxy.chooseFault = () => (proxy.requests.some(isCompletion) ? "cut-request" : undefined);
    const patience = { BLOCKFERRY_OUTAGE_TIMEOUT_MS: "1000", BLOCKFERRY_CLEAN_UP_TIMEOUT_MS: "500" };
    const run = start(proxy, ["backup", "--repo", repo, "--device", image], patience);
    assert.equal(failure(1, await run.result).code, "StorageUnavailable");
    assert.deepEqual(await pointIds(repo), []);
    await assertWhole(repo);
    await backUp(repo, image);
    await assertRestores(repo, "latest", image, join(folder, "lasting.img"));
  });

  test(
    "is waited out where it is one of the instance metadata service, and there were credentials",
    fullDepthOnly,
    async () => {
      const { repo, proxy } = await newRepository("without-credentials");
      const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = S3_ENVIRONMENT;
      const [begins, ends] = [FIRST_LOOKUPS, FIRST_LOOKUPS + 12];
      const { env, requests } = await startMetadataServer({
        ...{ instanceId: undefined, userData: undefined, credentials: { accessKeyId, secretAccessKey } },
        failWith: (request) => (request >= begins && request < ends ? 503 : undefined),
      });
      const { code, stdout } = await start(proxy, ["backup", "--repo", repo, "--device", image], {
        ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
        ...{ AWS_EC2_METADATA_DISABLED: undefined, ...env },
      }).result;
      assert.equal(code, 0, stdout);
      assert.ok(requests.length > ends, `${requests.length} requests`);
      await assertRestores(repo, "latest", image, join(folder, "without-credentials.img"));
    },
  );

  test("holds up neither Ctrl-C in a backup, nor in a restore or a verification", async () => {
    const { repo, proxy } = await newRepository("interrupted");
    const target = join(folder, "interrupted.img");
    await backUp(repo, image);
    const commands = [
      ["backup", "--device", image],
      ["restore", "--point", "latest", "--target", target],
      ["verify", "--read-data"],
    ];
    for (const [command = "", ...options] of commands) {
      proxy.requests.length = 0;
      proxy.chooseFault = ({ url }) => (/index%2F|\/index\//.test(url) ? "cut-request" : undefined);
      const run = start(proxy, [command, "--repo", repo, ...options]);
      await waitUntil("requests that fail", () => proxy.requests.filter(({ fault }) => fault).length > 2);
      const elapsed = stopwatch();
      run.process.kill("SIGINT");
      assert.equal(failure(130, await run.result).code, "Interrupted", command);
      assert.ok(elapsed() < DEADLINE_MS, `${command} took ${elapsed()} ms`);
    }
  });

  test("does not make a verification call anything damaged", fullDepthOnly, async () => {
    const { repo, proxy } = await newRepository("undamaged");
    await backUp(repo, image);
    const patience = { BLOCKFERRY_OUTAGE_TIMEOUT_MS: "200" };
    for (const place of ["index", "points", "packs"]) {
      proxy.chooseFault = ({ url }) => (url.includes(`/${place}/`) ? "error-500" : undefined);
      const run = start(proxy, ["verify", "--repo", repo, "--read-data"], patience);
      assert.equal(failure(1, await run.result).code, "StorageUnavailable", place);
    }
  });
});
