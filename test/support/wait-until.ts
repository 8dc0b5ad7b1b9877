import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 5;

/** Polls until `condition` holds. Fails after `timeoutMs`. @param what named in the failure */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `${what}: not within ${timeoutMs} ms`);
    await delay(POLL_MS);
  }
}

/** Starts a timer for deadlines. @returns a function that returns the milliseconds since the start */
export function stopwatch(): () => number {
  const started = performance.now();
  return () => performance.now() - started;
}
