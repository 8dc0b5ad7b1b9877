import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { printable } from "../../command-line/printable.js";
import { agent, agentJson } from "../support/agent.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { newRepository } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";

test("text keeps all but what steers a terminal or turns the direction of what follows", () => {
  assert.equal(printable("Größe\t1\n備份 ✓"), "Größe\t1\n備份 ✓");
  assert.equal(
    printable("a\u001b[2Jb\rc\u0007\u007f\u009b1m"),
    "a\\u001b[2Jb\\u000dc\\u0007\\u007f\\u009b1m",
  );
  assert.equal(printable("x\u202egnp.exe"), "x\\u202egnp.exe");
  const value = { tag: "\u001b]0;\u009b\u2066" };
  assert.deepEqual(JSON.parse(printable(JSON.stringify(value))), value, "JSON means the same");
});

test("what a recovery point says of itself does nothing to the terminal that it is shown on", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const title = "\u001b]0;pwned\u0007\u009b2J";
  const backup = ["backup", "--repo", repo, "--device", image, "--tag", `note=${title}`];
  await agentJson(...backup);
  const shown = await agent("show", "latest", "--repo", repo);
  assert.ok(shown.stdout.includes("note=\\u001b]0;pwned\\u0007\\u009b2J"), shown.stdout);
  const json = await agent("show", "latest", "--repo", repo, "--json");
  assert.equal(JSON.parse(json.stdout).tags.note, title);
  assert.doesNotMatch(shown.stdout + json.stdout, /(?!\n)\p{Cc}/u);
});
