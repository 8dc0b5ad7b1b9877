import assert from "node:assert/strict";
import { appendFile, cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { before, beforeEach, describe, test } from "node:test";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";

const COPIED = ["scripts/test-changed.sh", "scripts/node.sh", "tsconfig.json", ".dependency-cruiser.cjs"];
const FILES: Record<string, string> = {
  "agent/backup/plan.ts": "export const plan = 1;\n",
  "agent/backup/read.ts": "export const read = 1;\n",
  "agent/cli/list.ts": "export const list = 1;\n",
  "test/agent/list.test.ts": "export const listTest = 1;\n",
  "test/agent/backup/plan.test.ts": 'import { suite } from "../suite.js";\nexport const planTest = suite;\n',
  "test/agent/backup/other.test.ts": "export const otherTest = 1;\n",
  "test/agent/suite.ts": 'import { helper } from "../support/helper.js";\nexport const suite = helper;\n',
  "test/support/helper.ts": "export const helper = 1;\n",
  "README.md": "A project\n",
  // In place of the script that runs the tests.
  "scripts/test.sh": 'echo "$BLOCKFERRY_DEPTH depth: $*"\n',
};

describe("scripts/test-changed.sh", async () => {
  const project = await tempFolder();
  const git = (...args: string[]) =>
    runTool("git", "-C", project, "-c", "user.name=test", "-c", "user.email=test@example.com", ...args);
  const change = (path: string) => appendFile(join(project, path), "// changed\n");
  const run = (...args: string[]) => runTool("bash", join(project, "scripts/test-changed.sh"), ...args);

  /** Returns the compiled tests that the script runs. */
  async function tested(...args: string[]): Promise<string[]> {
    const said = await run(...args);
    const [, files] = /^quick depth: (.*)$/m.exec(said) ?? assert.fail(said);
    return (files as string).split(" ");
  }

  before(async () => {
    for (const path of COPIED) await cp(path, join(project, path), { recursive: true });
    for (const [path, content] of Object.entries(FILES)) {
      await mkdir(dirname(join(project, path)), { recursive: true });
      await writeFile(join(project, path), content);
    }
    await writeFile(join(project, ".gitignore"), "node_modules\n.tools\n");
    // `.tools` may hold the Node.js that scripts/node.sh puts into PATH.
    for (const folder of ["node_modules", ".tools"]) await symlink(resolve(folder), join(project, folder));
    await git("init", "--quiet", "--initial-branch=main");
    await git("add", ".");
    await git("commit", "--quiet", "--message=Begin");
  });
  beforeEach(() => git("reset", "--quiet", "--hard", "main"));

  test("runs the test that mirrors a file, or those of the mirrored folder, or of the nearest above", async () => {
    await change("agent/backup/plan.ts");
    assert.deepEqual(await tested(), ["dist/test/agent/backup/plan.test.js"]);
    await change("agent/backup/read.ts");
    const both = ["dist/test/agent/backup/other.test.js", "dist/test/agent/backup/plan.test.js"];
    assert.deepEqual(await tested(), both);
    await change("agent/cli/list.ts");
    assert.deepEqual(await tested(), [...both, "dist/test/agent/list.test.js"]);
  });

  test("runs a test that changed, or is new, and not one that was removed", async () => {
    await change("test/agent/list.test.ts");
    await writeFile(join(project, "test/agent/new.test.ts"), "export const newTest = 1;\n");
    await rm(join(project, "test/agent/backup/other.test.ts"));
    const expected = ["dist/test/agent/list.test.js", "dist/test/agent/new.test.js"];
    assert.deepEqual(await tested(), expected);
    await rm(join(project, "test/agent/new.test.ts"));
  });

  test("runs the tests that import a helper, by whatever other helpers", async () => {
    await change("test/support/helper.ts");
    assert.deepEqual(await tested(), ["dist/test/agent/backup/plan.test.js"]);
  });

  test("compares with where the branch left main, or with the base that is given", async () => {
    await git("switch", "--quiet", "--create", "branch");
    await change("agent/backup/plan.ts");
    await git("commit", "--quiet", "--all", "--message=Change");
    await change("test/agent/list.test.ts");
    const both = ["dist/test/agent/backup/plan.test.js", "dist/test/agent/list.test.js"];
    assert.deepEqual(await tested(), both);
    assert.deepEqual(await tested("HEAD"), both.slice(1));
    await git("switch", "--quiet", "--discard-changes", "main");
  });

  test("says so where no test mirrors the changes", async () => {
    await change("README.md");
    assert.match(await run(), /No test mirrors/);
  });
});
