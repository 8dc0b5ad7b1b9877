import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { IndexCheckpoints } from "../../../agent/backup/index-checkpoints.js";
import { CHUNK_RECORD_BYTES } from "../../../repository/format/chunk.js";
import { newPackId } from "../../../repository/format/pack.js";
import { maxEntriesIn, readIndexSegment } from "../../../repository/index/segments.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { openStorage, parseStorageLocation } from "../../../repository/storage/open-storage.js";
import { errorBody, startFaultProxy } from "../../support/fault-proxy.js";
import { SeededRandom } from "../../support/random.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";
import { waitUntil } from "../../support/wait-until.js";

const PACKS_PER_SEGMENT = 16;
/** Chunks in a pack. */
const MAX_CHUNKS = 8192;
const DENIED = { status: 403, body: errorBody("AccessDenied") };

describe("the index of a running backup", needing("versitygw"), async () => {
  const server = await startS3Server("versitygw");
  const proxy = await startFaultProxy(server.endpointUrl);

  /** Opens checkpoints in a storage behind the proxy, and a list of the packs that they have recorded. */
  async function open(prefix: string, signal = new AbortController().signal) {
    const options = { endpointUrl: proxy.endpointUrl, addressing: "path" } as const;
    const storage = await openStorage(parseStorageLocation(`s3://${BUCKET}/${prefix}`, options));
    const recorded = async () => {
      const segments = await storage.list("index/");
      const packs = await Promise.all(segments.map(({ key }) => readIndexSegment(storage, key)));
      return packs.map((segment) => segment.packs.map(({ id }) => id));
    };
    return { checkpoints: new IndexCheckpoints(storage.until(signal)), storage, recorded };
  }

  function addPacks(checkpoints: IndexCheckpoints, count: number): string[] {
    const ids = Array.from({ length: count }, newPackId);
    for (const id of ids) checkpoints.add({ id, sizeBytes: 100, footer: Buffer.alloc(0) });
    return ids;
  }

  test("has the packs of a segment that failed in the next segment", async () => {
    const { checkpoints, recorded } = await open("next");
    const isRefused = () => proxy.requests.some(({ fault }) => fault !== undefined);
    proxy.chooseFault = ({ method }) => (method === "PUT" && !isRefused() ? DENIED : undefined);
    const ids = addPacks(checkpoints, PACKS_PER_SEGMENT);
    await waitUntil("a segment that fails", isRefused);
    // Too few to fill a segment of their own.
    await waitUntil("a segment", async () => {
      ids.push(...addPacks(checkpoints, 1));
      return (await recorded()).length > 0;
    });
    await checkpoints.flush();
    const segments = await recorded();
    assert.ok(segments.some((segment) => segment.length > PACKS_PER_SEGMENT));
    assert.deepEqual(segments.flat().sort(), ids.sort());
  });

  test("reports a failed write, and loses nothing when it is flushed again", async () => {
    const { checkpoints, recorded } = await open("flushed");
    proxy.chooseFault = ({ method }) => (method === "PUT" ? DENIED : undefined);
    const ids = addPacks(checkpoints, PACKS_PER_SEGMENT + 1);
    await assert.rejects(checkpoints.flush(), { code: "StorageDenied" });
    proxy.chooseFault = () => undefined;
    await checkpoints.flush();
    assert.deepEqual((await recorded()).flat().sort(), ids.sort());
  });

  test("is recorded by a run that ends in an outage, as soon as the storage answers", async () => {
    const ending = new AbortController();
    const { checkpoints, storage, recorded } = await open("ended", ending.signal);
    const failures = () => proxy.requests.filter(({ fault }) => fault === "cut-request").length;
    proxy.chooseFault = () => "cut-request";
    const ids = addPacks(checkpoints, PACKS_PER_SEGMENT);
    await waitUntil("an outage", () => failures() > 2);
    ending.abort();
    await assert.rejects(checkpoints.flush(), { code: "Interrupted" });
    proxy.chooseFault = () => undefined;
    await checkpoints.flush(storage);
    assert.deepEqual((await recorded()).flat().sort(), ids.sort());
  });
});

test("the index of very many packs at once, as after it was lost, is written in segments that can be read", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const checkpoints = new IndexCheckpoints(storage);
  const random = new SeededRandom("segments");
  const packs = Array.from({ length: 100 }, () => ({
    ...{ id: newPackId(), sizeBytes: 2 ** 26, footer: random.bytes(MAX_CHUNKS * CHUNK_RECORD_BYTES) },
  }));
  for (const pack of packs) checkpoints.add(pack);
  await checkpoints.flush();
  const segments = await storage.list("index/");
  assert.ok(segments.every(({ sizeBytes }) => sizeBytes < 16 * 2 ** 20));
  const chunks = segments.reduce((sum, segment) => sum + maxEntriesIn(segment), 0);
  assert.ok(chunks >= packs.length * MAX_CHUNKS && chunks < (packs.length + 1) * MAX_CHUNKS);
});
