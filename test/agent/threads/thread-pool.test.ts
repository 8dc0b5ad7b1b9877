import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { byDepth } from "../../support/depth.js";
import { startProgram } from "../../support/start-program.js";
import { tempFolder } from "../../support/temp-folder.js";

const MODULES = 300;
const NAMES_EACH = 300;
const POOLS = byDepth({ quick: 8, full: 40 });

/**
 * Writes modules that each import all names of the one before. Linking them takes long, so threads often end
 * during it.
 */
async function writeSlowModules(folder: string): Promise<URL> {
  await mkdir(folder);
  const names = Array.from({ length: NAMES_EACH }, (_, name) => name);
  for (let module = 0; module < MODULES; module++) {
    const imports = names.map((name) => `v${name} as w${name}`).join(",");
    const exports = names.map((name) => `export const v${name}=${name};`).join("");
    const source = module === 0 ? exports : `import {${imports}} from "./${module - 1}.mjs";${exports}`;
    await writeFile(join(folder, `${module}.mjs`), source);
  }
  return pathToFileURL(join(folder, `${MODULES - 1}.mjs`));
}

test("threads that are ended while they load take nothing down with them", async () => {
  const folder = await tempFolder();
  const slow = await writeSlowModules(join(folder, "modules"));
  const program = join(folder, "end-threads.mjs");
  await writeFile(
    program,
    `import { ThreadPool } from ${JSON.stringify(new URL("../../../agent/threads/thread-pool.js", import.meta.url).href)};
     for (let i = 0; i < ${POOLS}; i++) {
       const pool = new ThreadPool(new URL(${JSON.stringify(slow.href)}), 2, "directory");
       await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 500));
       await pool.close();
     }`,
  );
  const { code, signal, stderr } = await startProgram(program, []).result;
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
});

test("an error of a thread whose task is done fails the run, and not the process", async () => {
  const folder = await tempFolder();
  const work = join(folder, "work.mjs");
  await writeFile(
    work,
    `export default async ({ thread, port, stop }) => {
       if (thread === 0) setTimeout(() => { throw new Error("too late"); }, 50);
       else while (Atomics.load(new Int32Array(stop), 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
       port.close();
       return { result: thread };
     };`,
  );
  const program = join(folder, "run.mjs");
  await writeFile(
    program,
    `import { ThreadPool } from ${JSON.stringify(new URL("../../../agent/threads/thread-pool.js", import.meta.url).href)};
     const pool = new ThreadPool(new URL(${JSON.stringify(pathToFileURL(work).href)}), 2, "directory");
     try {
       await pool.run({ task: {}, signal: new AbortController().signal });
     } catch (error) {
       console.log(error.message);
     } finally {
       await pool.close();
       console.log("cleaned up");
     }`,
  );
  const { code, stdout } = await startProgram(program, []).result;
  assert.equal(code, 0);
  assert.match(stdout, /too late\n.*\n*cleaned up/);
});
