import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { describe, test } from "node:test";
import * as z from "zod/mini";
import { holdingToSchemas } from "./printed-json.js";

const OUTPUTS = {
  sum: z.strictObject({ total: z.int() }),
  "sum JOB": z.strictObject({ job: z.string() }),
  "sum --dry-run": z.strictObject({ dryRun: z.literal(true) }),
};

const FAILURE = { error: { code: "Usage", message: "No command.", remedy: "Name one." } };

function printed(args: string[], stdout: string) {
  const result = Promise.resolve({ code: 0, signal: null, stdout, stderr: "" });
  return holdingToSchemas(OUTPUTS, [...args, "--json"], { process: {} as ChildProcess, result }).result;
}

describe("the output of a program in tests", () => {
  for (const [args, value] of [
    [["sum"], { total: 1 }],
    [["sum", "job-1"], { job: "job-1" }],
    [["sum", "--dry-run"], { dryRun: true }],
    [["sum"], FAILURE],
    [["nothing"], FAILURE],
  ] as const) {
    test(`may be ${JSON.stringify(value)} of ${args.join(" ")}`, async () => {
      const line = `${JSON.stringify(value)}\n`;
      assert.equal((await printed([...args], line)).stdout, line);
    });
  }

  for (const [args, value] of [
    [["sum"], { total: 1, more: 2 }],
    [["sum"], { total: 1.5 }],
    [["sum"], {}],
    [["sum", "--dry-run"], { total: 1 }],
    [["sum"], { ...FAILURE, more: 2 }],
    [["nothing"], { total: 1 }],
  ] as const) {
    test(`may not be ${JSON.stringify(value)} of ${args.join(" ")}`, async () => {
      await assert.rejects(printed([...args], `${JSON.stringify(value)}\n`), assert.AssertionError);
    });
  }

  test("may end within a line, and may not have another line that is not JSON", async () => {
    await printed(["sum"], '{"total":1}\n{"tot');
    await assert.rejects(printed(["sum"], '{"total":1}\ntext\n'), SyntaxError);
  });
});
