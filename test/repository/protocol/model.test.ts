import assert from "node:assert/strict";
import { test } from "node:test";
import { fullDepthOnly } from "../../support/depth.js";
import { ALL_RULES, explore, type Rules, type Scenario } from "./model.js";

const BACKUP: Scenario = { backups: 1, readers: 0, prunes: 2 };
const READER: Scenario = { backups: 0, readers: 1, prunes: 2 };
const BOTH: Scenario = { backups: 1, readers: 1, prunes: 2 };

for (const [what, scenario] of Object.entries({ "a backup": BACKUP, "a reader": READER, both: BOTH })) {
  // Takes a minute of CPU time.
  const options = scenario === BOTH ? fullDepthOnly : {};
  test(
    `no interleaving of ${what} with two runs of prune, kills and wrong guesses costs a point or fails a reader`,
    options,
    () => {
      const { states, violation } = explore(scenario, ALL_RULES);
      assert.equal(violation, undefined);
      assert.ok(states > 1000, `${states} states`);
    },
  );
}

/** For each rule, a scenario that fails without it. */
const NEEDED: Record<keyof Rules, Scenario> = {
  leaseBeforeCondemnations: BACKUP,
  leaseAfterPoint: BACKUP,
  waitForWitnesses: BACKUP,
  waitForReaders: BOTH,
  pardon: BACKUP,
  witnessesBeforePoints: BACKUP,
};

for (const [rule, scenario] of Object.entries(NEEDED)) {
  test(`the model finds a loss without the rule ${rule}`, () => {
    assert.notEqual(explore(scenario, { ...ALL_RULES, [rule]: false }).violation, undefined);
  });
}
