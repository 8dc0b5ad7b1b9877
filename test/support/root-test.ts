import assert from "node:assert/strict";
import { test } from "node:test";

/** A test that needs root, for loop devices and mounts: left out for other users, except in CI, where it must run. */
export function rootTest(name: string, body: () => Promise<void>): void {
  if (process.getuid?.() === 0) test(name, body);
  else if (process.env.CI === "true") test(name, () => assert.fail("CI must run this test as root"));
  else test(name, { skip: "needs root, for loop devices and mounts" }, body);
}
