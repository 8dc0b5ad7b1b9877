import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ERROR_CODES } from "../../foundation/errors.js";

/** Other programs, which have their own options. */
const OTHERS =
  /^(aws|blockdev|nbdfuse|nbdinfo|nbdcopy|qemu-|mount|systemd|npm|packer|lsblk|losetup|\.\.\.|sudo)/;

const ROOT = new URL("../../../", import.meta.url);
const text = (name: string) => readFile(new URL(name, ROOT), "utf8");

/** Returns the pages in subfolders of a folder; the pages directly in it are for readers of the code. */
async function pagesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(new URL(folder, ROOT), { recursive: true });
  return entries.filter((name) => /\/.*\.md$/.test(name)).map((name) => folder + name);
}

function linksIn(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^(https?|mailto):/.test(target));
}

/** Returns the anchors of headings, as GitHub makes them. */
function anchors(markdown: string): Set<string> {
  const headings = [...markdown.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.*)$/gm)];
  return new Set(
    headings.map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}

const run = promisify(execFile);

describe("the docs", async () => {
  const pages = ["README.md", "docs/security.md", ...(await pagesBelow("docs/"))];

  test("name a remedy for every error code", async () => {
    const documented = (await text("docs/reference/errors.md"))
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    const named = new Set(documented.flatMap((line) => line.split("|")[1]?.match(/\w+/g) ?? []));
    // An interruption is not an error: exit code 130 reports it.
    const missing = ERROR_CODES.filter((code) => code !== "Interrupted" && !named.has(code));
    assert.deepEqual(missing, []);
  });

  test("list every option as the helps print it", async () => {
    const script = fileURLToPath(new URL("scripts/options-reference.js", ROOT));
    const { stdout } = await run(process.execPath, [script, "--print"], { maxBuffer: 2 ** 24 });
    assert.equal(await text("docs/reference/options.md"), stdout, "run node scripts/options-reference.js");
  });

  test("describe the JSON of every command as its schema does", async () => {
    const script = fileURLToPath(new URL("scripts/json-reference.js", ROOT));
    const { stdout } = await run(process.execPath, [script, "--check"]).catch((failed) => failed);
    assert.equal(stdout, "", "run node scripts/json-reference.js");
  });

  test("link to files and headings that exist", async () => {
    const broken: string[] = [];
    for (const name of [
      ...pages,
      "docs/README.md",
      "docs/architecture.md",
      "docs/format.md",
      "docs/jobs.md",
    ]) {
      for (const target of linksIn(await text(name))) {
        const [path = "", anchor] = target.split("#");
        const page = path === "" ? name : join(dirname(name), path);
        const content = await text(page).catch(() => undefined);
        const isFolder =
          content === undefined && (await stat(new URL(page, ROOT)).catch(() => undefined))?.isDirectory();
        const isFound =
          isFolder || (content !== undefined && (anchor === undefined || anchors(content).has(anchor)));
        if (!isFound) broken.push(`${name}: ${target}`);
      }
    }
    assert.deepEqual(broken, []);
  });

  for (const name of pages) {
    test(`${name} names no option that neither program has`, async () => {
      const known = await options();
      const wrong = optionsIn(await text(name)).filter((option) => !isKnown(option, known));
      assert.deepEqual(wrong, []);
    });
  }
});

/**
 * Returns whether an option is known. A name that ends with a hyphen stands for all names that start with it.
 */
function isKnown(option: string, known: Set<string>): boolean {
  return option.endsWith("-") ? [...known].some((one) => one.startsWith(option)) : known.has(option);
}

/** Returns the options in code spans and blocks. */
function optionsIn(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, code = ""]) =>
    code.split("\n"),
  );
  const spans = [...markdown.replace(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)].map(
    ([, code = ""]) => code,
  );
  const ours = [...blocks, ...spans].filter((code) => !OTHERS.test(code.replace(/^\$ /, "").trim()));
  return [...new Set(ours.flatMap((code) => code.match(/(?<![\w-])--[a-z][a-z-]+/g) ?? []))];
}

/** Returns the options in the helps of all commands of both programs, from the page that lists them. */
async function options(): Promise<Set<string>> {
  return new Set((await text("docs/reference/options.md")).match(/--[a-z][a-z-]+/g));
}
