import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { formatTable, printableJson, printableLine } from "../../command-line/format.js";
import { agent, agentJson } from "../support/agent.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { newRepository } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";

test("a line keeps all but characters that steer a terminal, end the line, or cannot be seen", () => {
  assert.equal(printableLine("Größe 1 備份 ✓ 🙂"), "Größe 1 備份 ✓ 🙂");
  const hidden = [
    ...[
      "\n",
      "\r",
      "\t",
      "\b",
      "\u0000",
      "\u001b",
      "\u007f",
      "\u0085",
      "\u009b",
      "\u00ad",
      "\u034f",
      "\u061c",
    ],
    ...["\u180e", "\u200b", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2060"],
    ...["\u2066", "\u2069", "\u3164", "\ufe0f", "\ufeff", "\u{e0041}", "\ud800", "\udfff"],
  ];
  for (const character of hidden) {
    const escaped = `\\u{${character.codePointAt(0)?.toString(16)}}`;
    assert.equal(printableLine(`a${character}b`), `a${escaped}b`);
  }
});

test("JSON escapes the same characters and means the same", () => {
  const value = { "tag\u202e": "\u001b]0;\u009b\u2066\n\t\u007f\ud800\u{e0041}\u2028🙂" };
  for (const indent of [0, 2]) {
    const json = printableJson(value, indent);
    assert.deepEqual(JSON.parse(json), value);
    assert.match(json, indent === 0 ? /^[\x20-\x7e🙂]+$/u : /^[\x20-\x7e🙂\n]+$/u);
  }
});

test("a row of a table is one line, and its columns stay in place", () => {
  const rows = formatTable([
    ["POINT", "TAGS"],
    ["one\ntwo", "a\u202eb"],
    ["three", "c"],
  ]);
  assert.deepEqual(rows, ["POINT        TAGS", "one\\u{a}two  a\\u{202e}b", "three        c"]);
});

test("text from a recovery point does nothing to the terminal that shows it", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const title = "\u001b]0;pwned\u0007\u009b2J";
  const backup = ["backup", "--repo", repo, "--device", image, "--tag", `note=${title}`];
  await agentJson(...backup);
  const shown = await agent("show", "latest", "--repo", repo);
  assert.ok(shown.stdout.includes("note=\\u{1b}]0;pwned\\u{7}\\u{9b}2J"), shown.stdout);
  const json = await agent("show", "latest", "--repo", repo, "--json");
  assert.equal(JSON.parse(json.stdout).tags.note, title);
  assert.doesNotMatch(shown.stdout + json.stdout, /(?!\n)\p{Cc}/u);
});
