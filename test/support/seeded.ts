import { SeededRandom } from "./random.js";

/** The body of a test with random data: when it fails, the seed that repeats it is printed. */
export function seeded(body: (random: SeededRandom) => Promise<void>): () => Promise<void> {
  return async () => {
    const random = SeededRandom.fresh();
    try {
      await body(random);
    } catch (error) {
      process.stderr.write(`To repeat what failed: BLOCKFERRY_TEST_SEED=${random.seed}\n`);
      throw error;
    }
  };
}
