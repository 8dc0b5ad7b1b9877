/** Depth of the tests: `quick` takes minutes, `full` is the depth of CI. */
type Depth = "quick" | "full";

/**
 * The depth of this run. Only this module reads the variable; scripts/test.sh asks it. CI runs `full` unless
 * the variable is set.
 */
export const DEPTH = depthOf(process.env.BLOCKFERRY_DEPTH ?? (process.env.CI === "true" ? "full" : "quick"));

/** Options of a test that runs only in full depth. */
export const fullDepthOnly = { skip: DEPTH === "quick" && "runs in full depth only" };

/** Returns the number of rounds, or the cases, for this depth. */
export function byDepth<Quick, Full>(choices: { quick: Quick; full: Full }): Quick | Full {
  return choices[DEPTH];
}

function depthOf(text: string): Depth {
  if (text === "quick" || text === "full") return text;
  throw new Error(`BLOCKFERRY_DEPTH is "${text}"; it must be "quick" or "full".`);
}
