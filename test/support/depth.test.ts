import assert from "node:assert/strict";
import { test } from "node:test";
import { startProgram } from "./start-program.js";

/** Evaluates an expression in a new process with the given variables. */
async function evaluate(expression: string, env: NodeJS.ProcessEnv): Promise<string> {
  const modules = ["depth.js", "tools.js"].map((name) => new URL(name, import.meta.url).href);
  const [depth, tools] = modules.map((url) => `...await import(${JSON.stringify(url)})`);
  const program = `const all = { ${depth}, ${tools} }; console.log(JSON.stringify(all.${expression}));`;
  const { code, stdout, stderr } = await startProgram("--input-type=module", ["--eval", program], { env })
    .result;
  return code === 0 ? stdout.trim() : stderr;
}

test("the depth is full in CI and quick elsewhere unless BLOCKFERRY_DEPTH sets it, and anything else is an error", async () => {
  const choice = 'byDepth({ quick: "a few", full: "all" })';
  const unset = { BLOCKFERRY_DEPTH: undefined };
  assert.equal(await evaluate(choice, { ...unset, CI: undefined }), '"a few"');
  assert.equal(await evaluate(choice, { ...unset, CI: "true" }), '"all"');
  assert.equal(await evaluate(choice, { BLOCKFERRY_DEPTH: "quick" }), '"a few"');
  assert.equal(await evaluate(choice, { BLOCKFERRY_DEPTH: "full" }), '"all"');
  for (const wrong of ["", "FULL", "1"])
    assert.match(await evaluate(choice, { BLOCKFERRY_DEPTH: wrong }), /BLOCKFERRY_DEPTH is ".*"; it must be/);
});

test("a test whose tool is missing is skipped in quick depth with its name, and in full depth is not skipped", async () => {
  const skip = 'needing("no-such-tool", "strace").skip';
  const nowhere = { PATH: "/nonexistent" };
  const reason = await evaluate('needing("restic", "borg").skip', { ...nowhere, BLOCKFERRY_DEPTH: "quick" });
  assert.equal(reason, '"needs restic (package restic), borg (package borgbackup)"');
  assert.equal(await evaluate('needing("losetup").skip', { BLOCKFERRY_DEPTH: "quick" }), "false");
  assert.equal(await evaluate(skip, { ...nowhere, BLOCKFERRY_DEPTH: "full" }), "false");
});
