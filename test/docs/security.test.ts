import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const DOCS = new URL("../../../docs/", import.meta.url);
const page = await readFile(new URL("security.md", DOCS), "utf8");

/** Rows of the table of threats, by cells. */
const rows = page
  .slice(page.indexOf("## Threats"), page.indexOf("## Signed jobs"))
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(1)
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test("each test that the threat model names exists, by that name", async () => {
  const named = rows.flatMap((cells) => [...(cells[4] ?? "").matchAll(/\[(.+?)\]\((.+?)\)/g)]);
  assert.ok(named.length > 30, `${named.length} tests are named`);
  for (const [, name = "", path = ""] of named) {
    const source = await readFile(new URL(path, DOCS), "utf8");
    const isTitled = titlesIn(source).some((title) => title.includes(name));
    assert.ok(isTitled || isPutTogether(source, name), `${path} has no test "${name}"`);
  }
});

/** What stands as the title of a test. */
function titlesIn(source: string): string[] {
  const titles = source.matchAll(/\b(?:test|rootTest)\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g);
  return [...titles].map(([, plain, template]) => plain ?? template ?? "");
}

/** Whether a title ends with `${what}`, and what comes there is in the file, as a string of its own. */
function isPutTogether(source: string, name: string): boolean {
  return titlesIn(source).some((title) => {
    const [, before] = /^(.*)\$\{what\}$/.exec(title) ?? [];
    if (before === undefined) return false;
    return source.includes(`"${name.startsWith(before) ? name.slice(before.length) : name}",`);
  });
}

test("each threat says what is left where no test shows that it is held off", () => {
  assert.deepEqual(
    ["Stolen repository", "Hostile worker", "Hostile repository", "Confused deputy", "Poisoned job"].filter(
      (threat) => !rows.some(([cell = ""]) => cell.startsWith(`**${threat}`)),
    ),
    [],
  );
  for (const cells of rows) {
    assert.equal(cells.length, 5, cells.join(" | "));
    const [, attempt, hold, left, shown] = cells;
    assert.ok(attempt !== "" && hold !== "", cells.join(" | "));
    assert.ok(shown !== "" || left !== "", attempt);
  }
});
