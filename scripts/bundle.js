/**
 * Bundles the two programs for a fast start.
 * They load a few files instead of hundreds, and only the used parts of the AWS SDK. Not bundled, but loaded
 * from node_modules: `lz4` (an addon) and `piscina` (which starts threads from its own files). Each folder is
 * flat, because threads start from files next to the code that starts them.
 */
import { copyFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));

/**
 * Entries are bundled. Starters are copied, because they must stay unchanged: see agent/main.cts and
 * agent/threads/thread.cts.
 */
const PROGRAMS = {
  agent: {
    entries: ["cli.js", "backup/backup-thread.js", "restore/restore-thread.js", "verify/verify-thread.js"],
    starters: ["main.cjs", "threads/thread.cjs"],
  },
  controller: { entries: ["cli.js"], starters: ["main.js"] },
};

await rm(join(DIST, "programs"), { recursive: true, force: true });
for (const [name, { entries, starters }] of Object.entries(PROGRAMS)) {
  const outdir = join(DIST, "programs", name);
  await build({
    entryPoints: entries.map((entry) => join(DIST, name, entry)),
    ...{ outdir, entryNames: "[name]", chunkNames: "[name]-[hash]", logLevel: "warning" },
    ...{ bundle: true, splitting: true, format: "esm", platform: "node", target: "node22" },
    ...{ conditions: ["module"], mainFields: ["module", "main"], external: ["lz4", "piscina"] },
    banner: {
      js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);',
    },
  });
  for (const starter of starters) await copyFile(join(DIST, name, starter), join(outdir, basename(starter)));
}
