import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { startAgent } from "../../support/agent.js";
import { byDepth, fullDepthOnly } from "../../support/depth.js";
import { startFaultProxy, wrongDateRefused, xmlError } from "../../support/fault-proxy.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { failure } from "../../support/repositories.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import type { ProgramResult } from "../../support/start-program.js";
import { tempFolder } from "../../support/temp-folder.js";

const MINUTE_MS = 60_000;
/** A backup with one thread has two clients: one in the main thread. */
const CLIENTS = 2;

describe("a server whose clock differs", async () => {
  const server = await startS3Server("moto");
  const proxy = await startFaultProxy(server.endpointUrl);
  const image = join(await tempFolder(), "disk.img");
  before(() => writeRandomFile(image, 3_000_000, SeededRandom.fresh()));

  /** Runs a command while the server's clock is ahead, and returns the number of its requests. */
  async function run(aheadMs: number, args: string[]): Promise<ProgramResult & { requests: number }> {
    proxy.clockAheadMs = aheadMs;
    proxy.requests.length = 0;
    const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
    const result = await startAgent([...args, "--json"], env).result;
    return { ...result, requests: proxy.requests.length };
  }

  /** The requests of `init`, of a second `init` and of a backup. */
  async function requestsOfRuns(name: string, aheadMs: number): Promise<[number, number, number]> {
    const repo = `s3://${BUCKET}/${name}`;
    const init = await run(aheadMs, ["init", "--repo", repo]);
    assert.equal(init.code, 0, init.stdout);
    const again = await run(aheadMs, ["init", "--repo", repo]);
    assert.equal(failure(1, again).code, "RepositoryExists");
    const backup = await run(aheadMs, ["backup", "--repo", repo, "--device", image, "--threads=1"]);
    assert.equal(backup.code, 0, backup.stdout);
    return [init.requests, again.requests, backup.requests];
  }

  test("gets no request twice for an expected 404 or 412, and one more for a refused date", async () => {
    proxy.chooseFault = () => undefined;
    const expected = await requestsOfRuns("in-step", 0);
    assert.ok(expected.every((requests) => requests > 0));
    for (const aheadMs of byDepth({
      quick: [5 * MINUTE_MS],
      full: [5 * MINUTE_MS, 60 * MINUTE_MS, -5 * MINUTE_MS],
    })) {
      assert.deepEqual(await requestsOfRuns(`ahead-${aheadMs}`, aheadMs), expected, `${aheadMs} ms ahead`);
    }
    proxy.chooseFault = wrongDateRefused(proxy, xmlError(403, "RequestTimeTooSkewed"));
    const [init, again, backup] = await requestsOfRuns("refusing", 60 * MINUTE_MS);
    assert.deepEqual([init, again], [expected[0] + 1, expected[1] + 1]);
    const more = backup - expected[2];
    assert.ok(more >= 1 && more <= CLIENTS, `${more} more requests`);
  });

  test(
    "is asked twice at most where it refuses every date, or the signature is wrong",
    fullDepthOnly,
    async () => {
      for (const code of ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied"]) {
        proxy.chooseFault = () => xmlError(403, code);
        const { requests, ...result } = await run(60 * MINUTE_MS, [
          "list",
          "--repo",
          `s3://${BUCKET}/refused`,
        ]);
        assert.match(failure(1, result).code, /^(CredentialsInvalid|StorageDenied)$/);
        assert.equal(requests, code === "AccessDenied" ? 1 : 2, code);
      }
    },
  );

  test("has KMS asked once for a key that does not exist", async () => {
    proxy.chooseFault = () => undefined;
    const key = "kms:arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
    const folder = join(await tempFolder(), "repo");
    const { requests, ...result } = await run(60 * MINUTE_MS, ["init", "--repo", folder, "--encrypt", key]);
    assert.equal(failure(1, result).code, "KeyNotUsable", result.stdout);
    assert.equal(requests, 1);
  });
});
