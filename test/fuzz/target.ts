import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { SeededRandom } from "../support/random.js";

/** Something that reads what others have written. */
export interface FuzzTarget {
  name: string;
  /** Real inputs, which it takes without an error: what is tried are changes of them. */
  seeds: Buffer[];
  /** How an input is changed; by bytes where nothing is said. */
  mutate?: (input: Buffer, others: readonly Buffer[], random: SeededRandom) => Buffer;
  /** Reads one input. A BlockferryError with a code other than `Unexpected` is an answer like any other; all else is a bug. */
  run(input: Buffer): Promise<void> | void;
  /** Ends what it has running. */
  close?(): Promise<void>;
}

/** A step whose answer may be a foreseen error, so that the next one is tried all the same. */
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
