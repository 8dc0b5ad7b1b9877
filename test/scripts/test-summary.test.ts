import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";

test("the summary of a run names the slowest files, and why tests were skipped, with the number of each", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "dist"));
  const write = (name: string, body: string) =>
    writeFile(
      join(folder, "dist", name),
      `import { describe, test } from "node:test";
       const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
       ${body}`,
    );
  await write("quick.test.mjs", 'test("passes", () => undefined);');
  await write(
    "slow.test.mjs",
    `test("one", pause);
     describe("some", () => { test("two", pause); test("three", { skip: "needs a tool" }, pause); });
     describe("suite", { skip: "needs a tool" }, () => undefined);
     test("four", { skip: "needs another" }, pause);`,
  );
  const reporter = `--test-reporter=${resolve("scripts/test-summary.js")}`;
  const env = ["env", "--chdir", folder, "--unset=NODE_TEST_CONTEXT"];
  const files = ["quick", "slow"].map((name) => join("dist", `${name}.test.mjs`));
  const said = await runTool(
    env[0] as string,
    ...env.slice(1),
    process.execPath,
    "--test",
    reporter,
    ...files,
  );
  const [slowest = "", skipped = ""] = said.split("\n\n");
  const lines = slowest.split("\n");
  assert.equal(lines[0], "Slowest files:");
  assert.match(lines[1] ?? "", /^ +0\.\d s {2}slow\.test\.mjs$/);
  assert.match(lines[2] ?? "", /^ +0\.0 s {2}quick\.test\.mjs$/);
  assert.deepEqual(
    skipped.split("\n").map((line) => line.trim()),
    ["Skipped tests and suites:", "2  needs a tool", "1  needs another"],
  );
});
