import { setImmediate } from "node:timers/promises";
import { SeededRandom } from "../support/random.js";
import { Coverage } from "./coverage.js";
import { mutateBytes } from "./mutate-bytes.js";
import { type FuzzTarget, isForeseen } from "./target.js";

/** Reading the coverage from V8 takes longer than most inputs, so it is read once for this many inputs. */
const BATCH = 16;
const MAX_CORPUS = 500;

interface FuzzResult {
  /** Number of changed inputs: 0 when the seeds took all the time. */
  inputs: number;
  /** Number of inputs that reached new code, including the seeds. */
  corpus: number;
  /** Number of the project's functions that ran. */
  functions: number;
}

interface FuzzOptions {
  seed: string;
  /** CPU time of this process. */
  cpuSeconds: number;
  /** Called with each input before the target runs. */
  onInput(input: Buffer): void;
  /** Called after each input. @throws to stop the fuzzing */
  afterInput(): void;
}

/** An input and the fault that it caused. */
export class Finding extends Error {
  constructor(
    readonly what: string,
    readonly input: Buffer,
  ) {
    super(what);
  }
}

/**
 * Fuzzes a target for the given CPU time. Inputs that reach new code are kept and changed further.
 * @throws Finding
 */
export async function fuzzTarget(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const random = new SeededRandom(`${options.seed} ${target.name}`);
  const coverage = new Coverage();
  try {
    const corpus = [...target.seeds];
    for (const seed of target.seeds) await tryInput(target, seed, options);
    coverage.hasNews("keep");
    let inputs = 0;
    const endAt = cpuSeconds() + options.cpuSeconds;
    while (cpuSeconds() < endAt) {
      const batch = Array.from({ length: BATCH }, () =>
        (target.mutate ?? mutateBytes)(Buffer.from(random.pick(corpus)), corpus, random),
      );
      for (const input of batch) await tryInput(target, input, options);
      inputs += batch.length;
      if (corpus.length >= MAX_CORPUS || !coverage.hasNews("ask")) continue;
      for (const input of batch) {
        await tryInput(target, input, options);
        if (coverage.hasNews("keep")) corpus.push(input);
      }
    }
    return { inputs, corpus: corpus.length, functions: coverage.functions };
  } finally {
    coverage.close();
  }
}

/** Runs a target with one input. @throws Finding unless it returns or throws an expected error */
export async function tryInput(
  target: FuzzTarget,
  input: Buffer,
  options: Pick<FuzzOptions, "onInput" | "afterInput">,
): Promise<void> {
  options.onInput(input);
  try {
    await target.run(input);
    // An unhandled rejection is reported only when the event loop is idle.
    await setImmediate();
  } catch (error) {
    if (!isForeseen(error))
      throw new Finding(error instanceof Error ? `${error.stack}` : String(error), input);
  }
  options.afterInput();
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
