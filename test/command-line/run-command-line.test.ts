import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startProgram } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";

const MODULE = JSON.stringify(new URL("../../command-line/run-command-line.js", import.meta.url).href);

const DEFECTS = {
  "an exception outside every promise": 'setTimeout(() => { throw new Error("unseen defect"); }, 10);',
  "a rejection that nothing handles": 'void Promise.reject(new Error("unseen defect"));',
};

for (const [defect, statement] of Object.entries(DEFECTS)) {
  test(`${defect} is printed like other errors, as text and as JSON`, async () => {
    const program = join(await tempFolder(), "program.mjs");
    await writeFile(
      program,
      `import { runCommandLine } from ${MODULE};
       const work = { command: "work", handler: async () => { ${statement} await new Promise((resolve) => setTimeout(resolve, 60_000)); } };
       await runCommandLine(
         { name: "example", describe: "An example.", addCommands: (parser) => parser.command(work) },
         process.argv.slice(2),
         "there",
       );`,
    );
    const text = await startProgram(program, ["work"]).result;
    assert.deepEqual([text.code, text.stdout], [1, ""]);
    assert.match(text.stderr, /^example: .*unseen defect/);
    const json = await startProgram(program, ["work", "--json"]).result;
    assert.equal(json.code, 1);
    const { error } = JSON.parse(json.stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "Unexpected");
    assert.match(error.message, /unseen defect/);
  });
}
