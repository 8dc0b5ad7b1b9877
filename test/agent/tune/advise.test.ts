import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { advise, type Figures } from "../../../agent/tune/advise.js";

const MB = 1e6;
const GIB = 2 ** 30;

/** Eight cores of 1,200 MB/s each, a device of 2,400 MB/s from 32 parallel reads on, and no repository. */
const MACHINE: Figures = {
  cores: 8,
  memoryBytes: 16 * GIB,
  mostReads: (threads) => Math.floor((256 - 8 - 4 * threads) / threads),
  sourceBytes: 100 * GIB,
  partBytes: 8 * 2 ** 20,
  cipherBytes: 0,
  read: [
    { inFlight: 8, bytesPerSecond: 900 * MB },
    { inFlight: 32, bytesPerSecond: 2350 * MB },
    { inFlight: 128, bytesPerSecond: 2400 * MB },
  ],
  hashBytesPerSecond: 2000 * MB,
  compressBytesPerSecond: 3000 * MB,
  storedShare: 0.5,
  upload: [],
};

describe("advice", () => {
  test("for a device that is slower than the cores is as few threads as keep up with it", () => {
    const { bottleneck, threads, queueDepth, bytesPerSecond, limits } = advise(MACHINE);
    assert.equal(bottleneck, "device");
    assert.equal(bytesPerSecond, 2400 * MB);
    assert.equal(threads, 3, "2,400 MB/s and a quarter more at 1,200 MB/s each");
    assert.equal(
      queueDepth,
      Math.ceil((2 * 32) / 3),
      "32 reads do all but 5% of what 128 do; twice as many slots",
    );
    assert.equal(limits.network, null);
  });

  test("for cores that are slower than the device is a thread on each", () => {
    const { bottleneck, threads, limits } = advise({ ...MACHINE, cores: 1 });
    assert.equal(bottleneck, "cpu");
    assert.equal(threads, 1);
    assert.ok(Math.abs(limits.cpu - 1200 * MB) < MB);
  });

  test("for a slow network is as many threads as it takes to have all parts on their way", () => {
    const upload = [
      { inFlight: 1, bytesPerSecond: 20 * MB },
      { inFlight: 16, bytesPerSecond: 300 * MB },
      { inFlight: 32, bytesPerSecond: 305 * MB },
    ];
    const { bottleneck, threads, bytesPerSecond } = advise({ ...MACHINE, upload });
    assert.equal(bottleneck, "network");
    assert.equal(bytesPerSecond, 610 * MB, "stored bytes are half of those read");
    assert.equal(threads, 4, "16 parts, four of each thread");
  });

  test("never takes more memory than there is, as long as one thread with one read fits", () => {
    for (const memoryBytes of [300 * 2 ** 20, GIB, 2 * GIB]) {
      const read = [{ inFlight: 256, bytesPerSecond: 20_000 * MB }];
      const advice = advise({ ...MACHINE, sourceBytes: 0, cores: 64, read, memoryBytes });
      assert.ok(advice.memoryBytes <= memoryBytes, `${advice.memoryBytes} of ${memoryBytes}`);
    }
    const { threads, queueDepth } = advise({ ...MACHINE, memoryBytes: 0 });
    assert.deepEqual({ threads, queueDepth }, { threads: 1, queueDepth: 1 });
  });

  test("never asks for more reads than the process has I/O threads for", () => {
    const read = [{ inFlight: 256, bytesPerSecond: 2400 * MB }];
    const { threads, queueDepth } = advise({ ...MACHINE, read, mostReads: () => 10 });
    assert.deepEqual({ threads, queueDepth }, { threads: 3, queueDepth: 10 });
  });
});
