import assert from "node:assert/strict";
import { test } from "node:test";
import type { VerifyCursor } from "../../../agent/verify/read-record.js";
import { nextSample } from "../../../agent/verify/select-packs.js";
import type { SeededRandom } from "../../support/random.js";
import { seeded } from "../../support/seeded.js";

interface Pack {
  id: string;
  addedAt: string;
}

const rankOf = (id: string) => id;

/** Start of run `number`. */
const timeOf = (number: number) => new Date(number * 1000).toISOString();

const newPack = (random: SeededRandom, run: number): Pack => ({
  id: random.bytes(16).toString("hex"),
  addedAt: timeOf(run),
});

test(
  "as many samples as it takes to make 100 per cent have every pack that stays, whichever packs come and go",
  seeded(async (random) => {
    for (const percent of [100, 51, 50, 34, 100 / 3, 20, 7, 3, 0.7]) {
      let packs = Array.from({ length: random.below(60) }, () => newPack(random, -1));
      let cursor: VerifyCursor | undefined;
      const runs = Math.ceil(100 / percent);
      /** Number of the last run that read a pack, by pack id. */
      const readIn = new Map<string, number>();
      for (let run = 0; run < 3 * runs; run++) {
        const sample = nextSample(packs, percent, { cursor, startedAt: timeOf(run), rankOf });
        cursor = sample.cursor;
        for (const { id } of sample.packs) readIn.set(id, run);
        if (packs.length > 0)
          assert.ok(sample.packs.length * 100 >= packs.length * percent, "a share of the count");
        for (const { id, addedAt } of packs) {
          const since = run - runs + 1;
          if (since >= 0 && addedAt < timeOf(since))
            assert.ok((readIn.get(id) ?? -1) >= since, `${percent}%, run ${run}: ${id} of ${addedAt}`);
          const { readSince } = cursor;
          if (readSince !== null && addedAt < readSince)
            assert.ok(
              timeOf(readIn.get(id) ?? -1) >= readSince,
              `${percent}%: ${id} was not read since then`,
            );
        }
        if (run >= 2 * runs) assert.notEqual(cursor.readSince, null, "a lap is over");
        packs = packs.filter(() => random.below(20) > 0);
        while (random.below(2) === 0) packs.push(newPack(random, run));
      }
    }
  }),
);

test("a sample of all packs has each once, and begins a new lap", () => {
  const packs = ["3", "f", "0"].map((digit) => ({ id: digit.repeat(32) }));
  const cursor = { next: "8".repeat(32), lapBeganAt: timeOf(1), readSince: null };
  const sample = nextSample(packs, 100, { cursor, startedAt: timeOf(2), rankOf });
  assert.deepEqual(sample.packs.map(({ id }) => id[0]).sort(), ["0", "3", "f"]);
  assert.deepEqual(sample.cursor, { next: cursor.next, lapBeganAt: timeOf(2), readSince: timeOf(2) });
});
