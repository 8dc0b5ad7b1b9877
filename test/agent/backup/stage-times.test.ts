import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stageSeconds } from "../../../agent/backup/recorder.js";

/** A row: milliseconds of read, zeros, hash, compress, device and storage, and of an idle event loop. */
const NOTHING = Float64Array.of(0, 0, 0, 0, 0, 0, 0);

describe("the time of a thread", () => {
  test("is reported in seconds since the previous snapshot", () => {
    const before = Float64Array.of(1000, 0, 1000, 0, 500, 500, 1000);
    const after = Float64Array.of(1500, 250, 3000, 1000, 2500, 500, 3000);
    assert.deepEqual(stageSeconds(before, after), {
      ...{ read: 0.5, zeros: 0.25, hash: 2, compress: 1, send: 0, device: 2, storage: 0 },
    });
  });

  test("that was neither spent on chunks nor idle went into sending, and is taken from both waits", () => {
    const { send, device, storage } = stageSeconds(NOTHING, Float64Array.of(0, 0, 0, 0, 3000, 1000, 3000));
    assert.deepEqual({ send, device, storage }, { send: 1, device: 2.25, storage: 0.75 });
  });

  test("never is less than nothing, though an idle loop is noted a moment later than a stage", () => {
    const { send, device } = stageSeconds(NOTHING, Float64Array.of(0, 0, 0, 0, 1000, 0, 1001));
    assert.deepEqual({ send, device }, { send: 0, device: 1 });
  });
});
