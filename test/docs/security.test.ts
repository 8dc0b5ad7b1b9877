import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const DOCS = new URL("../../../docs/", import.meta.url);
const page = await readFile(new URL("security.md", DOCS), "utf8");

/** Returns the rows of the tables between two headings, as cells. */
function rowsBetween(start: string, end: string): string[][] {
  return page
    .slice(page.indexOf(start), page.indexOf(end))
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** Rows of the table of threats. */
const rows = rowsBetween("## Threats", "## Whose bytes decide").slice(1);
/** Rows of the lists of deletes, grants and "ok". */
const decisions = rowsBetween("## Whose bytes decide", "## Signed jobs").filter(([what]) => what !== "what");

test("each delete, grant and ok has a deciding party, a proof and a test", () => {
  assert.ok(decisions.length > 20, `${decisions.length} rows`);
  for (const cells of decisions) {
    assert.equal(cells.length, 4, cells.join(" | "));
    assert.ok(
      cells.every((cell) => cell !== ""),
      cells.join(" | "),
    );
  }
});

test("each test that the threat model names exists, by that name", async () => {
  const named = [...rows, ...decisions].flatMap((cells) => [
    ...(cells.at(-1) ?? "").matchAll(/\[(.+?)\]\((.+?)\)/g),
  ]);
  assert.ok(named.length > 30, `${named.length} tests are named`);
  for (const [, name = "", path = ""] of named) {
    const source = await readFile(new URL(path, DOCS), "utf8");
    const isTitled = titlesIn(source).some((title) => title.includes(name));
    assert.ok(isTitled || isPutTogether(source, name), `${path} has no test "${name}"`);
  }
});

/** Returns the test titles in a source file. */
function titlesIn(source: string): string[] {
  const titles = source.matchAll(/\b(?:test|rootTest)\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g);
  return [...titles].map(([, plain, template]) => plain ?? template ?? "");
}

/** Returns whether a title that ends with `${what}` becomes this name with a string of the file. */
function isPutTogether(source: string, name: string): boolean {
  return titlesIn(source).some((title) => {
    const [, before] = /^(.*)\$\{what\}$/.exec(title) ?? [];
    if (before === undefined) return false;
    return source.includes(`"${name.startsWith(before) ? name.slice(before.length) : name}",`);
  });
}

test("each threat without a test names the remaining risk", () => {
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
