/**
 * `node dist/test/fuzz/main.js`: fuzzes all code that reads untrusted data, for BLOCKFERRY_FUZZ_SECONDS of
 * CPU time (default 20). Arguments name the targets; without them it fuzzes all. `--replay FILE TARGET` tries
 * one recorded input.
 */

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FuzzReport } from "./fuzz-process.js";
import { tryInput } from "./fuzz-target.js";
import { runFuzzer } from "./run-fuzzer.js";
import { makeTargets } from "./targets/targets.js";

const FINDINGS = fileURLToPath(new URL("../../fuzz-findings/", import.meta.url));
const DEFAULT_SECONDS = 20;
const LANES = Math.min(2, availableParallelism());

const folder = await mkdtemp(join(tmpdir(), "blockferry-fuzz-"));
try {
  const [option, file = "", name = ""] = process.argv.slice(2);
  if (option === "--replay") await replay(file, name);
  else await fuzzAll(process.argv.slice(2));
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit();

async function fuzzAll(wanted: string[]): Promise<void> {
  const seed = process.env.BLOCKFERRY_TEST_SEED ?? String(Date.now());
  const seconds = secondsWanted();
  const names = (await makeTargets(join(folder, "names"))).map((target) => target.name);
  const targets = names.filter((name) => wanted.length === 0 || wanted.includes(name));
  if (targets.length === 0) throw new Error(`There are these targets:\n${names.join("\n")}`);
  console.log(`Fuzzing ${targets.length} targets for ${seconds} s of CPU time, BLOCKFERRY_TEST_SEED=${seed}`);
  const lanes = Array.from({ length: LANES }, (_, lane) => ({
    targets: targets.filter((_, place) => place % LANES === lane),
    folder: join(folder, `lane-${lane}`),
  }));
  const onReport = (report: FuzzReport) => tell(report);
  const order = { secondsEach: seconds / targets.length, seed, kind: "real" as const, onReport };
  const ended = await Promise.allSettled(
    lanes.map(async (lane) => {
      await mkdir(lane.folder);
      await runFuzzer({ ...order, ...lane });
    }),
  );
  // Throws only when every lane has ended: the folder is then removed, and a running lane still writes to it.
  const failures = ended.flatMap((lane) => (lane.status === "rejected" ? [lane.reason as Error] : []));
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("\n"));
}

/**
 * Returns the CPU time to use.
 * @throws when the variable is not a number of seconds: the run would otherwise be shorter than intended
 */
function secondsWanted(): number {
  const said = process.env.BLOCKFERRY_FUZZ_SECONDS ?? String(DEFAULT_SECONDS);
  const seconds = Number(said);
  if (Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new Error(`BLOCKFERRY_FUZZ_SECONDS is a number of seconds above 0, and not "${said}".`);
}

async function tell({ target, inputs, corpus, functions, finding }: FuzzReport): Promise<void> {
  if (finding === undefined && inputs === 0) {
    process.exitCode = 1;
    console.log(`NOT FUZZED: ${target}, for which there was no time. Raise BLOCKFERRY_FUZZ_SECONDS.`);
    return;
  }
  if (finding === undefined) {
    console.log(`${target}: ${inputs} inputs, ${corpus} reached something new, ${functions} functions`);
    return;
  }
  process.exitCode = 1;
  const input = Buffer.from(finding.input, "hex");
  const name = `${target.replaceAll(/[^a-z]+/g, "-")}-${createHash("sha256").update(input).digest("hex").slice(0, 8)}`;
  const path = join(FINDINGS, name);
  console.log(`FOUND in ${target}, after ${inputs} inputs: ${finding.what}`);
  console.log(`  Again: node dist/test/fuzz/main.js --replay ${path} '${target}'`);
  console.log(`  Input of ${input.length} bytes: ${finding.input.slice(0, 1000)}`);
  await mkdir(FINDINGS, { recursive: true });
  await writeFile(path, input);
}

async function replay(file: string, name: string): Promise<void> {
  const target = (await makeTargets(folder)).find((one) => one.name === name);
  if (target === undefined) throw new Error(`There is no target ${name}.`);
  await tryInput(target, await readFile(file), { onInput: () => undefined, afterInput: () => undefined });
  console.log("It is answered as it should be.");
}
