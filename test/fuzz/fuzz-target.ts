import { setImmediate } from "node:timers/promises";
import { SeededRandom } from "../support/random.js";
import { Coverage } from "./coverage.js";
import { mutateBytes } from "./mutate-bytes.js";
import { type FuzzTarget, isForeseen } from "./target.js";

/** Asking V8 what has run costs more than most inputs, so it is asked after so many. */
const BATCH = 16;
const MAX_CORPUS = 500;

export interface FuzzResult {
  /** Changed ones: 0 where the real ones took all the time. */
  inputs: number;
  /** Inputs that reached code which none before did, the real ones included. */
  corpus: number;
  /** Functions of the project that were reached. */
  functions: number;
}

export interface FuzzOptions {
  seed: string;
  /** CPU time of this process. */
  cpuSeconds: number;
  /** Is told each input before it is tried. */
  onInput(input: Buffer): void;
  /** Is called after each. @throws to end it */
  afterInput(): void;
}

/** What an input did that none should. */
export class Finding extends Error {
  constructor(
    readonly what: string,
    readonly input: Buffer,
  ) {
    super(what);
  }
}

/**
 * Tries changed inputs for a while. An input that reaches new code is kept, to be changed further.
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

/** @throws Finding unless the target answers with a value or an error that is foreseen */
export async function tryInput(
  target: FuzzTarget,
  input: Buffer,
  options: Pick<FuzzOptions, "onInput" | "afterInput">,
): Promise<void> {
  options.onInput(input);
  try {
    await target.run(input);
    // An error that nobody awaits shows only when there is nothing else to do.
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
