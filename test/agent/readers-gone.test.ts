import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AGENT, agentJson } from "../support/agent.js";
import { SeededRandom } from "../support/random.js";
import { assertRestores, backUp, type ListOutput, newRepository } from "../support/repositories.js";
import { assertSameContent } from "../support/same-content.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;

/**
 * Runs the agent in a shell.
 * @param redirections decide who reads its output
 * @returns its exit code and standard error
 */
function agentInShell(args: string[], redirections: string): { code: number | null; stderr: string } {
  const script = `set -o pipefail; "$@" ${redirections}`;
  const { status, stderr } = spawnSync("bash", ["-c", script, "bash", process.execPath, AGENT, ...args]);
  return { code: status, stderr: stderr.toString() };
}

describe("a run whose output nobody reads any more", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const repo = await newRepository(folder);
  await writeFile(image, new SeededRandom("readers gone").bytes(8 * MIB));
  const points = async () => (await agentJson<ListOutput>("list", "--repo", repo)).points.length;

  test("finishes a backup and says that it did", async () => {
    const before = await points();
    const args = ["backup", "--repo", repo, "--device", image];
    assert.deepEqual(agentInShell(args, "2>&1 | true"), { code: 0, stderr: "" });
    assert.deepEqual(agentInShell([...args, "--json"], "| true"), { code: 0, stderr: "" });
    assert.equal(await points(), before + 2);
    await assertRestores(repo, "latest", image, join(folder, "backed-up"));
  });

  test("finishes a restore and leaves nothing half-made", async () => {
    await backUp(repo, image);
    const target = join(folder, "out.img");
    const args = ["restore", "--repo", repo, "--point", "latest", "--target", target];
    assert.deepEqual(agentInShell(args, "2>&1 | true"), { code: 0, stderr: "" });
    await assertSameContent(target, image);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith("-partial")),
      [],
    );
  });

  test("fails when its result has no room, and says that alone", () => {
    const { code, stderr } = agentInShell(["list", "--repo", repo], "> /dev/full");
    assert.equal(code, 1);
    assert.match(stderr, /^blockferry-agent: the result could not be printed: .*ENOSPC.*\n$/);
  });
});

test("a machine with very many cores backs up with the default options", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const repo = await newRepository(folder);
  await writeFile(image, new SeededRandom("many cores").bytes(40 * MIB));
  const preload = join(folder, "many-cores.cjs");
  await writeFile(preload, 'require("node:os").availableParallelism = () => 192;');
  const args = ["--require", preload, AGENT, "backup", "--repo", repo, "--device", image];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  await assertRestores(repo, "latest", image, join(folder, "restored"));
});
