/**
 * Fuzzes the given targets one after the other, and prints a line of JSON for each. `run-fuzzer.ts` starts
 * it.
 */

import { CurrentInput } from "./current-input.js";
import { Finding, fuzzTarget } from "./fuzz-target.js";
import { LIMITS } from "./limits.js";
import { plantedTargets } from "./planted.js";
import type { FuzzTarget } from "./target.js";
import { makeTargets } from "./targets/targets.js";

/** The order for this process, passed as JSON in its argument. */
export interface FuzzOrder {
  /** Folder for samples. */
  folder: string;
  currentInput: string;
  /** Names of targets, in order. */
  targets: string[];
  secondsEach: number;
  seed: string;
  /** `planted` targets have known faults, to prove that the fuzzer finds them. */
  kind: "real" | "planted";
}

/** The result for a target. */
export interface FuzzReport {
  target: string;
  inputs: number;
  corpus: number;
  functions: number;
  /** The fault, and the input (hex) that causes it. */
  finding?: { what: string; input: string };
}

/** Share of the memory limit from which a process leaves the remaining targets to another. */
const RESTART_SHARE = 0.45;

const order = JSON.parse(process.argv[2] ?? "") as FuzzOrder;
const known = order.kind === "planted" ? plantedTargets() : await makeTargets(order.folder);
const current = new CurrentInput(order.currentInput);
for (const name of order.targets) {
  const target = known.find((one) => one.name === name);
  if (target === undefined) throw new Error(`There is no target ${name}.`);
  await fuzz(target);
  // Peak memory never falls, and each target adds to it: coverage stays in V8. Another process does the rest.
  if (peakBytes() > LIMITS.residentBytes * RESTART_SHARE) break;
}
current.close();
process.exit(0);

/** Returns the peak resident memory of this process. */
function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

async function fuzz(target: FuzzTarget): Promise<void> {
  let last: Buffer = Buffer.alloc(0);
  let inputs = 0;
  const onInput = (input: Buffer) => {
    last = input;
    inputs++;
    current.set(known.indexOf(target), input);
  };
  const afterInput = () => {
    const bytes = peakBytes();
    if (bytes <= LIMITS.residentBytes) return;
    throw new Finding(`The process has had ${bytes / 1024} KiB of memory, more than it may.`, last);
  };
  const options = { seed: order.seed, cpuSeconds: order.secondsEach, onInput, afterInput };
  try {
    await report({ target: target.name, ...(await fuzzTarget(target, options)) });
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    const finding = { what: error.what, input: error.input.toString("hex") };
    await report({ target: target.name, inputs, corpus: 0, functions: 0, finding });
    // The peak memory of the process never falls, so a new process must do the remaining targets.
    if (error.what.startsWith("The process")) process.exit(0);
  }
}

/**
 * Prints a result. Resolves when it is written, because the process may exit next, and a line may be longer
 * than a pipe holds.
 */
function report(line: FuzzReport): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, () => resolve()));
}
