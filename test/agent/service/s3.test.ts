import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe } from "node:test";
import { requestCancel } from "../../../repository/jobs/job-replies.js";
import { agentJson } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { TestDevices } from "../../support/device-tree.js";
import { errorBody, type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { jobVolume } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { assertRestores, pointIds } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { S3Objects } from "../../support/s3-objects.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { ServedRepository, stopService } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;
const SIZE_BYTES = 96 * MIB;
const KMS_KEY = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111";

describe("a service with its repository in S3", async () => {
  const server = await startS3Server("moto");
  const proxy = await startFaultProxy(server.endpointUrl);
  const objects = new S3Objects(server.endpointUrl);
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const volume = jobVolume(0, SIZE_BYTES);
  before(() => writeRandomFile(image, SIZE_BYTES, SeededRandom.fresh()));

  /** Agents use the proxy, with few attempts for a request; the test does not. */
  const env = { AWS_ENDPOINT_URL: proxy.endpointUrl, BLOCKFERRY_OUTAGE_TIMEOUT_MS: "200" };
  const isPart = ({ url }: ProxiedRequest) => /partNumber=/i.test(url);
  const isHeartbeat = ({ method, url }: ProxiedRequest) => method === "PUT" && url.includes("/status.json");
  const isListing = ({ method, url }: ProxiedRequest) => method === "GET" && /prefix=[^&]*jobs/i.test(url);

  async function newRepository(prefix: string): Promise<ServedRepository> {
    const repo = `s3://${BUCKET}/${prefix}`;
    await agentJson("init", "--repo", repo);
    proxy.requests.length = 0;
    proxy.chooseFault = () => undefined;
    return ServedRepository.open(repo);
  }

  async function attachedDevices(): Promise<TestDevices> {
    const devices = await TestDevices.create();
    await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), image);
    return devices;
  }

  rootTest(
    "does a job although its heartbeats fail, and shows no credential anywhere",
    fullDepthOnly,
    async () => {
      const served = await newRepository("heartbeats");
      const devices = await attachedDevices();
      const job = await served.addJob([volume]);
      proxy.chooseFault = (request) => (isHeartbeat(request) ? "error-500" : undefined);
      const service = served.serve(devices.options, env);
      const point = await served.pointOf(job.id);
      const { stdout, stderr } = await stopService(service);
      assert.match(stdout, /A heartbeat failed; the job continues/);
      assert.equal(await served.status(job.id), undefined);
      await assertRestores(served.repo, point, image, join(folder, "heartbeats.img"));
      const documents = await Promise.all(
        (await objects.keys("heartbeats/jobs/")).map((key) => objects.get(key)),
      );
      for (const text of [stdout, stderr, ...documents.map(String)]) {
        assert.ok(!text.includes(S3_ENVIRONMENT.AWS_SECRET_ACCESS_KEY), text);
        assert.ok(!text.includes(S3_ENVIRONMENT.AWS_ACCESS_KEY_ID), text);
      }
    },
  );

  rootTest("waits out an outage, whether it begins in it or meets it later", fullDepthOnly, async () => {
    const served = await newRepository("outage");
    const devices = await attachedDevices();
    let isDown = true;
    proxy.chooseFault = () => (isDown ? "slow-down-503" : undefined);
    const service = served.serve(devices.options, env);
    await waitUntil("requests", () => proxy.requests.length > 4);
    isDown = false;
    await waitUntil("a look for jobs", () =>
      proxy.requests.some(({ url, status }) => /jobs/.test(url) && status === 200),
    );
    proxy.chooseFault = (request) => (isListing(request) ? "error-500" : undefined);
    const listings = () =>
      proxy.requests.filter((request) => isListing(request) && request.fault !== undefined);
    await waitUntil("failed listings", () => listings().length > 2);
    const job = await served.addJob([volume]);
    proxy.chooseFault = () => undefined;
    await served.pointOf(job.id);
    const { stdout } = await stopService(service);
    assert.match(stdout, /"code":"StorageUnavailable"/);
    assert.match(stdout, /Trying again in [\d.]+ s/);
  });

  rootTest("keeps trying to write its result", fullDepthOnly, async () => {
    const served = await newRepository("result");
    const devices = await attachedDevices();
    const job = await served.addJob([volume]);
    const isResult = ({ method, url }: ProxiedRequest) => method === "PUT" && url.includes("/result.json");
    const failures = () =>
      proxy.requests.filter((request) => isResult(request) && request.fault !== undefined).length;
    proxy.chooseFault = (request) => (isResult(request) && failures() < 4 ? "error-500" : undefined);
    const { code, stdout } = await served.serveOnce(devices.options, env);
    assert.equal(code, 0, stdout);
    assert.deepEqual(await pointIds(served.repo), [await served.pointOf(job.id)]);
  });

  rootTest(
    "goes on with its heartbeat while uploads stall, and a cancellation ends the job even then",
    fullDepthOnly,
    async () => {
      const served = await newRepository("stalled");
      const devices = await attachedDevices();
      const job = await served.addJob([volume]);
      proxy.chooseFault = (request) => (isPart(request) ? "stall-request" : undefined);
      const service = served.serve(devices.options, env);
      await waitUntil("a part that stalls", () => proxy.requests.some(isPart));
      const { sequence } = await served.waitForStatus(job.id, ({ state }) => state === "running");
      await served.waitForStatus(job.id, (status) => status.sequence > sequence + 2);
      await requestCancel(served.repository.storage, job.id);
      assert.equal((await served.errorOf(job.id)).code, "Cancelled");
      proxy.chooseFault = () => undefined;
      await stopService(service);
      assert.deepEqual(await pointIds(served.repo), []);
      assert.deepEqual(await objects.uploads("stalled/"), []);
    },
  );

  rootTest(
    "writes packs, heartbeats and all else as the job says, and no faster",
    fullDepthOnly,
    async () => {
      const served = await newRepository("choices");
      const devices = await attachedDevices();
      const encryption = { algorithm: "aws:kms", kmsKey: KMS_KEY } as const;
      const storage = { storageClass: "STANDARD_IA", encryption, bytesPerSecond: 48 * MIB } as const;
      const job = await served.addJob([volume], {
        options: { compression: "none", threads: 1, queueDepth: null, badBlocks: "fail", storage },
      });
      const partTimes: number[] = [];
      proxy.chooseFault = (request) => {
        if (isPart(request)) partTimes.push(performance.now());
        return undefined;
      };
      const { code, stdout } = await served.serveOnce(devices.options, env);
      assert.equal(code, 0, stdout);
      assert.equal((await served.result(job.id))?.outcome.ok, true);
      const makes = proxy.requests.filter(
        ({ method, url }) =>
          (method === "PUT" && !/partNumber|tmp%2F|\/tmp\//i.test(url)) || /[?&]uploads/.test(url),
      );
      for (const what of ["/packs/", "/index/", "/points/", "/locks/", "/status.json", "/result.json"]) {
        const ofKind = makes.filter(({ url }) => url.includes(what));
        assert.ok(ofKind.length > 0, what);
        for (const { headers } of ofKind) {
          assert.equal(headers["x-amz-server-side-encryption"], "aws:kms", what);
          assert.equal(headers["x-amz-server-side-encryption-aws-kms-key-id"], KMS_KEY, what);
          const storageClass = what === "/packs/" ? "STANDARD_IA" : undefined;
          assert.equal(headers["x-amz-storage-class"], storageClass, what);
        }
      }
      const tookMs = (partTimes.at(-1) ?? 0) - (partTimes[0] ?? 0);
      assert.ok(tookMs > 1000, `96 MiB at 48 MiB/s were sent within ${tookMs} ms`);
    },
  );

  rootTest("killed outright in a job is followed by one that does the job", fullDepthOnly, async () => {
    const served = await newRepository("killed");
    const devices = await attachedDevices();
    const job = await served.addJob([volume], {
      options: { compression: "lz4", threads: 1, queueDepth: null, badBlocks: "fail" },
    });
    const uploadOf = ({ url }: ProxiedRequest) => /uploadId=([^&]+)/i.exec(url)?.[1];
    const isOfFirst = (request: ProxiedRequest) =>
      uploadOf(request) === uploadOf(proxy.requests.find(isPart) ?? request);
    proxy.chooseFault = (request) => (isPart(request) && !isOfFirst(request) ? "stall-request" : undefined);
    const service = served.serve(devices.options, env);
    await waitUntil("a pack to be stored, and a part of another", () => {
      const isStored = proxy.requests.some(
        (request) =>
          request.method === "POST" && isOfFirst(request) && request.status === 200 && uploadOf(request),
      );
      return isStored && proxy.requests.some(({ fault }) => fault === "stall-request");
    });
    service.process.kill("SIGKILL");
    await service.result;
    const last = await served.status(job.id);
    proxy.requests.length = 0;
    proxy.chooseFault = () => undefined;
    const { code, stdout } = await served.serveOnce(devices.options, env);
    assert.equal(code, 0, stdout);
    const sent = proxy.requests.filter(isPart).reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    assert.ok(sent < SIZE_BYTES - 48 * MIB, `${sent} bytes were sent again`);
    const status = await served.status(job.id);
    assert.ok(
      (status?.sequence ?? 0) > (last?.sequence ?? 0),
      `${JSON.stringify([last, status])}\n${stdout}`,
    );
    await assertRestores(served.repo, await served.pointOf(job.id), image, join(folder, "killed.img"));
  });

  rootTest("takes no point back because its data may not be read for a while", fullDepthOnly, async () => {
    const served = await newRepository("refused");
    const devices = await attachedDevices();
    const job = await served.addJob([volume]);
    await served.serveOnce(devices.options, env);
    const point = await served.pointOf(job.id);
    await objects.remove(`refused/jobs/${job.id}/result.json`);
    const isPackRead = ({ method, url }: ProxiedRequest) => method === "GET" && url.includes("/packs/");
    const denied = { status: 403, body: errorBody("AccessDenied") };
    proxy.chooseFault = (request) => (isPackRead(request) ? denied : undefined);
    const service = served.serve(devices.options, env);
    await waitUntil(
      "refused reads",
      () => proxy.requests.filter(({ fault }) => fault !== undefined).length > 2,
    );
    assert.deepEqual(await pointIds(served.repo), [point]);
    proxy.chooseFault = () => undefined;
    assert.equal(await served.pointOf(job.id), point);
    await stopService(service);
    assert.deepEqual(await pointIds(served.repo), [point]);
  });
});
