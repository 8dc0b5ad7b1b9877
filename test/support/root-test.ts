import assert from "node:assert/strict";
import { test } from "node:test";
import { DEPTH } from "./depth.js";

type Body = () => Promise<void>;

interface Options {
  skip?: string | false;
}

/**
 * Declares a test that needs root, for loop devices and mounts. Without root, it is skipped in quick depth
 * and fails in full depth.
 */
export function rootTest(name: string, body: Body): void;
export function rootTest(name: string, options: Options, body: Body): void;
export function rootTest(name: string, ...rest: [Body] | [Options, Body]): void {
  const [{ skip = false }, body] = rest.length === 1 ? [{}, rest[0]] : rest;
  if (skip !== false || process.getuid?.() === 0) test(name, { skip }, body);
  else if (DEPTH === "full") test(name, () => assert.fail("full depth must run this test as root"));
  else test(name, { skip: "needs root, for loop devices and mounts" }, body);
}
