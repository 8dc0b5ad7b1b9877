import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { BandwidthLimit } from "../../../repository/storage/bandwidth-limit.js";
import type { LimitTask } from "../../support/limit-worker.js";
import { stopwatch } from "../../support/wait-until.js";

test("threads together send no more bytes a second than the limit, and each gets a share", async () => {
  const threads = 4;
  const requests = 200;
  const requestBytes = 10_000;
  const bytesPerSecond = 1_000_000;
  const task: LimitTask = {
    limit: BandwidthLimit.create(bytesPerSecond).memory,
    requestBytes,
    left: new SharedArrayBuffer(4),
  };
  new Int32Array(task.left)[0] = requests;
  const elapsed = stopwatch();
  const module = new URL("../../support/limit-worker.js", import.meta.url);
  const workers = Array.from({ length: threads }, () => new Worker(module, { workerData: task }));
  const sent = (await Promise.all(workers.map((worker) => once(worker, "message")))).map(Number);
  assert.equal(
    sent.reduce((sum, count) => sum + count, 0),
    requests,
  );
  const leastMs = (((requests - 1) * requestBytes) / bytesPerSecond) * 1000;
  assert.ok(elapsed() >= leastMs, `${elapsed()} ms instead of ${leastMs}`);
  assert.ok(Math.min(...sent) >= requests / threads / 5, `shares: ${sent.join()}`);
});

test("waiting for a share ends when the signal fires", async () => {
  const limit = BandwidthLimit.create(1024);
  await limit.take(1024 * 1024);
  const controller = new AbortController();
  const waiting = limit.take(1, controller.signal);
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
});
