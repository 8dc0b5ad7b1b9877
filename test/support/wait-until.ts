import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 5;

/** Polls until `condition` holds; fails, saying `what` was awaited, when that takes longer than `timeoutMs`. */
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

/** A timer for a deadline that is asserted afterwards. @returns milliseconds since it was made */
export function stopwatch(): () => number {
  const started = performance.now();
  return () => performance.now() - started;
}
