import { SeededRandom } from "./random.js";

/**
 * Returns the body of a test with random data. When the body fails, it prints the seed that repeats the run.
 */
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
