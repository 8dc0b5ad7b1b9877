/** Fuzzes the targets that it is given, one after the other, and prints a line of JSON for each. `run-fuzzer.ts` starts it. */
import { CurrentInput } from "./current-input.js";
import { Finding, fuzzTarget } from "./fuzz-target.js";
import { LIMITS } from "./limits.js";
import { plantedTargets } from "./planted.js";
import type { FuzzTarget } from "./target.js";
import { makeTargets } from "./targets/targets.js";

/** What it is told, as JSON, by its argument. */
export interface FuzzOrder {
  /** For samples. */
  folder: string;
  currentInput: string;
  /** Names, in order. */
  targets: string[];
  secondsEach: number;
  seed: string;
  /** `planted` ones have known faults, to see that they are found. */
  kind: "real" | "planted";
}

/** What it says of a target. */
export interface FuzzReport {
  target: string;
  inputs: number;
  corpus: number;
  functions: number;
  /** What went wrong, and with which input (hex). */
  finding?: { what: string; input: string };
}

const order = JSON.parse(process.argv[2] ?? "") as FuzzOrder;
const known = order.kind === "planted" ? plantedTargets() : await makeTargets(order.folder);
const current = new CurrentInput(order.currentInput);
for (const name of order.targets) {
  const target = known.find((one) => one.name === name);
  if (target === undefined) throw new Error(`There is no target ${name}.`);
  await fuzz(target);
}
current.close();
process.exit(0);

async function fuzz(target: FuzzTarget): Promise<void> {
  let last: Buffer = Buffer.alloc(0);
  let inputs = 0;
  const onInput = (input: Buffer) => {
    last = input;
    inputs++;
    current.set(known.indexOf(target), input);
  };
  const afterInput = () => {
    const { maxRSS } = process.resourceUsage();
    if (maxRSS * 1024 <= LIMITS.residentBytes) return;
    throw new Finding(`The process has had ${maxRSS} KiB of memory, more than it may.`, last);
  };
  const options = { seed: order.seed, cpuSeconds: order.secondsEach, onInput, afterInput };
  try {
    await report({ target: target.name, ...(await fuzzTarget(target, options)) });
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    const finding = { what: error.what, input: error.input.toString("hex") };
    await report({ target: target.name, inputs, corpus: 0, functions: 0, finding });
    // Its memory is what counts, and stays at its highest for the targets that come.
    if (error.what.startsWith("The process")) process.exit(0);
  }
}

/** @returns when it is written: the process may end after it, and an input may be longer than a pipe */
function report(line: FuzzReport): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, () => resolve()));
}
