import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import yargs from "yargs";
import { compareOnExt4, compareOnIncompressible } from "./compare-backups.js";
import { compareNbdWithRestore } from "./compare-nbd.js";
import { comparePrune } from "./compare-prune.js";
import { compareEncryption } from "./encryption.js";
import { ext4Image, incompressibleImage, sparseImage } from "./images.js";
import { compareOnLatency } from "./latency.js";
import { describeMachine } from "./measure.js";
import { measureMemory } from "./memory.js";
import { print, Report } from "./report.js";
import { compareOnS3 } from "./s3/compare-s3.js";
import { compareUploads } from "./s3/compare-uploads.js";
import { measureScaling } from "./s3/thread-scaling.js";
import { emptyFolder, localTools } from "./tools.js";

const run = promisify(execFile);
const GIB = 2 ** 30;
const BENCH_FOLDER = fileURLToPath(new URL("../../bench", import.meta.url));
const PARTS = [
  "ext4",
  "random",
  "encryption",
  "latency",
  "memory",
  "nbd",
  "prune",
  "s3-upload",
  "s3",
  "s3-threads",
] as const;

const options = await yargs(process.argv.slice(2))
  .scriptName("npm run bench --")
  .options({
    only: { choices: PARTS, array: true, default: [...PARTS], describe: "What to measure" },
    rounds: { type: "number", default: 3, describe: "Rounds; ratios are medians over them" },
    points: { type: "number", default: 1000, describe: "Recovery points of the repository to be pruned" },
    gib: { type: "number", default: 4, describe: "Size of the ext4 and the incompressible image, GiB" },
    "work-dir": {
      type: "string",
      default: join(BENCH_FOLDER, "data"),
      describe: "Where images and repositories go",
    },
    json: { type: "string", describe: "Where the figures go  [default: bench/results/<time>.json]" },
  })
  .strict()
  .parseAsync();

const workFolder = resolve(options.workDir);
const repositories = join(workFolder, "repositories");
await mkdir(workFolder, { recursive: true });
await emptyFolder(repositories);
process.env.BLOCKFERRY_STATE_DIR = join(repositories, "state");
const report = new Report();
const machine = { ...describeMachine(), cores: availableParallelism(), tools: await toolVersions() };
print(
  `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, ${machine.tools.join(", ")}`,
);
if (process.getuid?.() !== 0)
  print("not root: the page cache cannot be emptied, so all tools read from memory");

const tools = localTools(repositories);
const common = { report, rounds: options.rounds, workFolder: repositories };
if (options.only.includes("ext4")) {
  await compareOnExt4({ ...common, tools, image: await ext4Image(workFolder, options.gib * GIB) });
}
if (options.only.includes("random")) {
  await compareOnIncompressible({
    ...common,
    tools,
    image: await incompressibleImage(workFolder, options.gib * GIB),
  });
}
if (options.only.includes("encryption")) {
  await compareEncryption({
    ...common,
    images: [
      { name: "ext4 image", path: await ext4Image(workFolder, options.gib * GIB) },
      { name: "incompressible image", path: await incompressibleImage(workFolder, options.gib * GIB) },
    ],
  });
}
if (options.only.includes("latency")) {
  await compareOnLatency({ ...common, image: await incompressibleImage(workFolder, GIB) });
}
if (options.only.includes("memory")) {
  await measureMemory(report, await sparseImage(workFolder, 64 * GIB), repositories);
}
if (options.only.includes("nbd")) {
  await compareNbdWithRestore({ ...common, image: await ext4Image(workFolder, options.gib * GIB) });
}
if (options.only.includes("prune")) {
  await comparePrune({ ...common, points: options.points });
}
if (options.only.includes("s3-upload")) {
  await compareUploads(common);
}
if (options.only.includes("s3")) {
  await compareOnS3({ ...common, image: await ext4Image(workFolder, options.gib * GIB) });
}
if (options.only.includes("s3-threads")) {
  await measureScaling({ ...common, image: await ext4Image(workFolder, options.gib * GIB) });
}
report.printBars();
const time = new Date().toISOString().replaceAll(":", "");
const json = options.json ?? join(BENCH_FOLDER, "results", `${time}.json`);
await mkdir(dirname(json), { recursive: true });
await writeFile(
  json,
  JSON.stringify({ machine, options, series: report.series, bars: report.bars }, undefined, 2),
);
await rm(repositories, { recursive: true });
print(`\nfigures: ${json}`);

async function toolVersions(): Promise<string[]> {
  const commands = [
    ["borg", "--version"],
    ["restic", "version"],
  ] as const;
  const outputs = await Promise.all(commands.map(([command, argument]) => run(command, [argument])));
  return outputs.map(({ stdout }) => stdout.trim());
}
