import { createCipheriv, createHash } from "node:crypto";

/**
 * Generates random numbers and bytes from a seed. A failing test prints its seed; BLOCKFERRY_TEST_SEED
 * repeats that run.
 */
export class SeededRandom {
  private readonly stream;

  constructor(readonly seed: string) {
    const key = createHash("sha256").update(seed).digest();
    this.stream = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  }

  static fresh(): SeededRandom {
    return new SeededRandom(process.env.BLOCKFERRY_TEST_SEED ?? String(Date.now()));
  }

  bytes(length: number): Buffer {
    return this.stream.update(Buffer.alloc(length));
  }

  /** Returns an integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.bytes(4).readUInt32LE() / 2 ** 32) * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}
