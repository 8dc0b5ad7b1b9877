import { BlockferryError } from "../../foundation/errors.js";
import type { SeededRandom } from "../support/random.js";

/** Code that reads untrusted data. */
export interface FuzzTarget {
  name: string;
  /** Real inputs, which the target reads without an error. The fuzzer tries changes of them. */
  seeds: Buffer[];
  /** Changes an input; the default changes bytes. */
  mutate?: (input: Buffer, others: readonly Buffer[], random: SeededRandom) => Buffer;
  /**
   * Reads one input. A BlockferryError with a code other than `Unexpected` is an accepted answer; any other
   * error is a bug.
   */
  run(input: Buffer): Promise<void> | void;
  /** Stops everything that the target has started. */
  close?(): Promise<void>;
}

/** Runs a step and ignores an expected error. The next step also runs. */
export async function tolerate<T>(step: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (isForeseen(error)) return undefined;
    throw error;
  }
}

export function isForeseen(error: unknown): boolean {
  return error instanceof BlockferryError && error.code !== "Unexpected";
}
