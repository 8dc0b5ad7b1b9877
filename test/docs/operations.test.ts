import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { ERROR_CODES } from "../../foundation/blockferry-error.js";
import { agent } from "../support/agent.js";
import { controller } from "../support/controller.js";
import type { ProgramResult } from "../support/start-program.js";

const COMMAND = /^ {2}blockferry(?:-agent)? ([a-z-]+)/gm;
/** Programs of others, whose options are theirs. */
const OTHERS = /^(aws|nbdfuse|nbdinfo|nbdcopy|qemu-|mount|systemd|npm|packer|lsblk|losetup|\.\.\.|sudo)/;

const text = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");

describe("docs/operations.md", () => {
  test("says of every error code what to do", async () => {
    const documented = (await text("docs/operations.md"))
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    const named = new Set(documented.flatMap((line) => line.split("|")[1]?.match(/\w+/g) ?? []));
    // An interruption is no failure of anything: exit code 130 tells it.
    const missing = ERROR_CODES.filter((code) => code !== "Interrupted" && !named.has(code));
    assert.deepEqual(missing, []);
  });

  for (const name of ["docs/operations.md", "docs/security.md", "README.md"]) {
    test(`${name} names no option that neither program has`, async () => {
      const known = await options();
      const wrong = optionsIn(await text(name)).filter((option) => !isKnown(option, known));
      assert.deepEqual(wrong, []);
    });
  }
});

/** A name that ends with a hyphen stands for all that begin with it. */
function isKnown(option: string, known: Set<string>): boolean {
  return option.endsWith("-") ? [...known].some((one) => one.startsWith(option)) : known.has(option);
}

/** Options in code, whether in a line or in a block. */
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

let found: Promise<Set<string>> | undefined;

/** All that the helps of all commands of both programs name. */
function options(): Promise<Set<string>> {
  const both = [(args: string[]) => agent(...args), (args: string[]) => controller(args)];
  found ??= Promise.all(both.map(optionsOf)).then((all) => new Set(all.flat()));
  return found;
}

async function optionsOf(run: (args: string[]) => Promise<ProgramResult>): Promise<string[]> {
  const help = async (...args: string[]) => (await run([...args, "--help"])).stdout;
  const overview = await help();
  const commands = [...overview.matchAll(COMMAND)].map(([, command = ""]) => command);
  assert.ok(commands.length > 8, overview);
  const helps: string[] = [overview];
  for (const command of commands) helps.push(await help(command));
  return helps.flatMap((one) => one.match(/--[a-z][a-z-]+/g) ?? []);
}
