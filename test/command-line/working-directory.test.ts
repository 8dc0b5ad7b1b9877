import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ErrorRecord } from "../../foundation/errors.js";
import { AGENT } from "../support/agent.js";
import { CONTROLLER } from "../support/controller.js";
import { newRepository, pointIds } from "../support/repositories.js";
import { startProgram } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";

/** Changes to a folder, removes it, and runs the rest of its arguments there. */
const IN_REMOVED_FOLDER = `
  import { spawnSync } from "node:child_process";
  import { mkdtempSync, rmdirSync } from "node:fs";
  const folder = mkdtempSync("/tmp/blockferry-removed-");
  process.chdir(folder);
  rmdirSync(folder);
  const { status, signal } = spawnSync(process.execPath, process.argv.slice(2), { stdio: "inherit" });
  process.exit(status ?? 1);`;

describe("in a working directory that was removed", async () => {
  const folder = await tempFolder();
  const starter = join(folder, "starter.mjs");
  const repo = await newRepository(folder);
  before(() => writeFile(starter, IN_REMOVED_FOLDER));
  const run = (...args: string[]) => startProgram(starter, args).result;

  for (const [name, program, commands] of [
    [
      "blockferry-agent",
      AGENT,
      [["list", "--repo", repo], ["backup", "--repo", "repo", "--device", "disk.img"], ["limits"], []],
    ],
    ["blockferry", CONTROLLER, [["points", "--repo", repo], ["status", "--repo", "repo"], []]],
  ] as const) {
    test(`${name} names the remedy, as text and as JSON`, async () => {
      for (const command of commands) {
        const { code, stdout, stderr } = await run(program, ...command);
        assert.deepEqual([code, stdout], [1, ""], stderr);
        assert.match(stderr, new RegExp(`^${name}: The working directory`));
        assert.match(stderr, /`cd \/`/);
        assert.doesNotMatch(stderr, /uv_cwd|\bat /);
      }
      const { code, stdout } = await run(program, ...(commands[0] ?? []), "--json");
      const { error } = JSON.parse(stdout) as { error: ErrorRecord };
      assert.deepEqual([code, error.code], [1, "WorkingDirectoryGone"]);
    });

    test(`${name} prints its version and its helps`, async () => {
      for (const args of [["--version"], ["--help"], ["show", "--help"]]) {
        const { code, stdout, stderr } = await run(program, ...args);
        assert.deepEqual([code, stderr], [0, ""]);
        assert.match(stdout, args[0] === "--version" ? /^\d+\.\d+/ : /Exit codes: 0 ok/);
      }
    });
  }
});

const CLI = fileURLToPath(new URL("../../programs/agent/cli.js", import.meta.url));

/** Runs the agent in a folder that it removes first: threads start in it. */
const REMOVED_WHILE_RUNNING = `
  import { mkdtempSync, rmdirSync } from "node:fs";
  const { runCli } = await import(${JSON.stringify(CLI)});
  const folder = mkdtempSync("/tmp/blockferry-removed-");
  process.chdir(folder);
  rmdirSync(folder);
  process.env.UV_THREADPOOL_SIZE = "128";
  await runCli(process.argv.slice(2), "there");`;

describe("a working directory that is removed while a command runs", async () => {
  const folder = await tempFolder();
  const starter = join(folder, "starter.mjs");
  const image = join(folder, "disk.img");
  before(async () => {
    await writeFile(starter, REMOVED_WHILE_RUNNING);
    await writeFile(image, Buffer.alloc(2 ** 20, 7));
  });

  test("is named when no thread can start there, and the run does not wait for threads", async () => {
    const repo = await newRepository(folder);
    for (let round = 0; round < 6; round++) {
      const args = ["backup", "--repo", repo, "--device", `${image}=disk`, "--threads=2", "--json"];
      const { code, stdout } = await startProgram(starter, args).result;
      const { error } = JSON.parse(stdout) as { error: ErrorRecord };
      assert.deepEqual([code, error.code], [1, "WorkingDirectoryGone"], stdout);
    }
    assert.deepEqual(await pointIds(repo), []);
  });

  test("is named when a relative path needs it", async () => {
    const repo = await newRepository(folder, "second");
    for (const args of [
      ["list", "--repo", "relative"],
      ["backup", "--repo", repo, "--device", "disk.img"],
    ]) {
      const { code, stdout } = await startProgram(starter, [...args, "--json"]).result;
      const { error } = JSON.parse(stdout) as { error: ErrorRecord };
      assert.deepEqual([code, error.code], [1, "WorkingDirectoryGone"], stdout);
    }
  });
});
