import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { BandwidthLimit } from "../../../../repository/storage/bandwidth-limit.js";
import { openStorage } from "../../../../repository/storage/open-storage.js";
import { parseS3Location, type S3Location } from "../../../../repository/storage/s3/s3-location.js";
import type { Storage } from "../../../../repository/storage/storage.js";
import { type ProxiedRequest, startFaultProxy } from "../../../support/fault-proxy.js";
import { S3Objects } from "../../../support/s3-objects.js";
import { BUCKET, startS3Server } from "../../../support/s3-server.js";
import { needing } from "../../../support/tools.js";
import { stopwatch, waitUntil } from "../../../support/wait-until.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const CLEAN_UP_MS = 500;
const REFRESH_MS = 100;
// Read when the first S3 storage is opened.
process.env.BLOCKFERRY_CLEAN_UP_TIMEOUT_MS = String(CLEAN_UP_MS);
process.env.BLOCKFERRY_MARKER_REFRESH_MS = String(REFRESH_MS);

describe("requests to S3", needing("versitygw"), async () => {
  const server = await startS3Server("versitygw");
  const proxy = await startFaultProxy(server.endpointUrl);
  const objects = new S3Objects(server.endpointUrl);

  /** Opens an empty storage behind the proxy, which passes all requests. */
  async function open(fields: Partial<S3Location> = {}): Promise<{ storage: Storage; prefix: string }> {
    proxy.chooseFault = () => undefined;
    proxy.requests.length = 0;
    const prefix = randomBytes(6).toString("hex");
    const options = { endpointUrl: proxy.endpointUrl, addressing: "path" } as const;
    const location = { ...parseS3Location(`s3://${BUCKET}/${prefix}`, options), ...fields };
    return { storage: await openStorage(location), prefix: `${prefix}/` };
  }

  const isMarker = ({ method, url }: ProxiedRequest) => method === "PUT" && url.includes("/tmp/");

  test("fail with the server's error when an outage outlasts their patience", async () => {
    const { storage } = await open({ outageMs: 500 });
    await storage.put("key", Buffer.from("body"));
    proxy.chooseFault = () => "error-500";
    const elapsed = stopwatch();
    await assert.rejects(storage.get("key"), { code: "StorageUnavailable", message: /InternalError/ });
    assert.ok(elapsed() >= 500 && elapsed() < 5000, `${elapsed()} ms`);
    assert.ok(proxy.requests.length > 3, `${proxy.requests.length} requests`);
  });

  for (const fault of ["cut-request", "stall-request", "stall-response"] as const) {
    test(`end at once when their work is to end, also when the server's answer is ${fault}`, async () => {
      const { storage } = await open();
      await storage.put("key", Buffer.alloc(MIB));
      proxy.chooseFault = () => fault;
      const controller = new AbortController();
      const reading = storage.until(controller.signal).get("key");
      const listing = storage.until(controller.signal).list("prefix/");
      await waitUntil("both requests", () => proxy.requests.length > 2);
      const elapsed = stopwatch();
      controller.abort();
      await assert.rejects(reading, { code: "Interrupted" });
      await assert.rejects(listing, { code: "Interrupted" });
      assert.ok(elapsed() < 1000, `${elapsed()} ms`);
    });
  }

  test("that are many at once and end with one signal raise no warning of a leak", async () => {
    const { storage } = await open();
    await storage.put("key", Buffer.from("body"));
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => warnings.push(name);
    process.on("warning", onWarning);
    const work = storage.until(new AbortController().signal);
    await Promise.all(Array.from({ length: 40 }, () => work.get("key")));
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });

  test("are charged to the bandwidth limit each time they are tried", async () => {
    const { storage } = await open({ bandwidthLimit: BandwidthLimit.create(MIB).memory });
    let failures = 0;
    proxy.chooseFault = () => (failures++ < 3 ? "error-500" : undefined);
    const elapsed = stopwatch();
    await storage.put("key", Buffer.alloc(MIB));
    assert.ok(elapsed() >= 3000, `four tries of 1 MiB took ${elapsed()} ms at 1 MiB/s`);
  });

  test("for whole objects wait for the bandwidth limit before they are sent, and not with an answer open", async () => {
    const { storage } = await open({ bandwidthLimit: BandwidthLimit.create(64 * KIB).memory });
    await storage.put("whole", Buffer.alloc(64 * KIB));
    proxy.requests.length = 0;
    let askedAt = 0;
    const elapsed = stopwatch();
    proxy.chooseFault = () => {
      askedAt = elapsed();
      return undefined;
    };
    await storage.get("whole");
    const readMs = elapsed() - askedAt;
    assert.ok(askedAt > 500, `asked after ${askedAt} ms, while the put's bytes pass for a second`);
    assert.ok(readMs < 500, `the answer was open for ${readMs} ms`);
    await storage.get("whole");
    assert.ok(elapsed() > 1500, "what was read is charged to those who read next");
  });

  test("that refresh a run's marker do not bring it back after the run has ended", async () => {
    const { storage, prefix } = await open();
    const session = await storage.beginUploads();
    const refreshes = () => proxy.requests.filter(isMarker).slice(1);
    proxy.chooseFault = (request) => (isMarker(request) ? "delay" : undefined);
    await waitUntil("a refresh that is under way", () =>
      refreshes().some(({ status }) => status === undefined),
    );
    await session.end();
    await waitUntil("the server's answer to it", () => refreshes().every(({ status }) => status === 200));
    assert.deepEqual(await objects.keys(prefix), []);
  });

  test("that clean up after a failure do not wait for a silent server", async () => {
    const { storage } = await open();
    const session = await storage.beginUploads();
    const uploads = [storage.putStream("packs/1"), storage.putStream("packs/2")] as const;
    await uploads[0].write(Buffer.alloc(5 * MIB));
    proxy.chooseFault = () => "stall-request";
    const writes = uploads.map((upload) => assert.rejects(upload.write(Buffer.alloc(5 * MIB))));
    await waitUntil("requests that stall", () => proxy.requests.filter(({ fault }) => fault).length >= 2);
    const elapsed = stopwatch();
    await Promise.all(uploads.map((upload) => upload.abort()));
    await Promise.all(writes);
    await session.end();
    assert.ok(elapsed() < 2 * CLEAN_UP_MS + 2000, `${elapsed()} ms`);
  });
});
