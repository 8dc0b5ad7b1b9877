import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { HeartbeatWatch } from "../../../controller/steps/replies.js";

const TIMEOUT_MS = 100;

test("an agent that was silent only during an outage of the storage is not lost, and a silent one is", async () => {
  const heartbeat = new HeartbeatWatch(TIMEOUT_MS, TIMEOUT_MS);
  heartbeat.hear(1, 0);
  const askedAt = performance.now();
  await setTimeout(2 * TIMEOUT_MS);
  heartbeat.hear(1, performance.now() - askedAt);
  assert.ok(!heartbeat.isLost());
  await setTimeout(2 * TIMEOUT_MS);
  heartbeat.hear(1, 0);
  assert.ok(heartbeat.isLost());
  heartbeat.hear(2, 0);
  assert.ok(!heartbeat.isLost());
});
