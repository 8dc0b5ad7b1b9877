import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { tempFolder } from "../support/temp-folder.js";
import type { FuzzReport } from "./fuzz-process.js";
import { LIMITS } from "./limits.js";
import { plantedTargets } from "./planted.js";
import { REGRESSIONS } from "./regressions.js";
import { runFuzzer } from "./run-fuzzer.js";
import type { FuzzTarget } from "./target.js";
import { makeTargets } from "./targets/targets.js";

describe("the inputs that the fuzzer starts from", async () => {
  const folder = await tempFolder();
  let targets: FuzzTarget[];
  before(async () => {
    targets = await makeTargets(folder);
  });
  after(async () => {
    for (const target of targets) await target.close?.();
  });

  test("is real, and read without an error by every target", async () => {
    assert.ok(targets.length >= 27);
    for (const { name, seeds, run } of targets) {
      assert.ok(seeds.length > 0, name);
      for (const seed of seeds) await assert.doesNotReject(async () => run(seed), name);
    }
  });

  for (const { target, what, change, code } of REGRESSIONS) {
    test(`that is changed (${target}: ${what}) is answered by ${code}`, async () => {
      const { seeds, run } = targets.find(({ name }) => name === target) as FuzzTarget;
      await assert.rejects(async () => run(change(seeds[0] as Buffer)), { code });
    });
  }
});

describe("the fuzzer", async () => {
  const folder = await tempFolder();

  /** The fuzzer finds planted faults within hundreds of inputs. If it misses one, it ends after this time. */
  const MOST_SECONDS = 60;

  async function fuzzPlanted(names: string[], secondsEach: number): Promise<FuzzReport[]> {
    const reports: FuzzReport[] = [];
    const onReport = (report: FuzzReport) => reports.push(report);
    const limits = { ...LIMITS, cpuSeconds: 1 };
    await runFuzzer({
      folder,
      targets: names,
      secondsEach,
      seed: "planted",
      kind: "planted",
      limits,
      onReport,
    });
    return reports;
  }

  test("finds every kind of fault, with its input", fullDepthOnly, async () => {
    const names = plantedTargets().map(({ name }) => name);
    const faults = names.filter((name) => name !== "nothing");
    const reports = await fuzzPlanted(faults, MOST_SECONDS);
    assert.deepEqual(
      reports.map(({ target }) => target),
      faults,
    );
    const expected = [/RangeError: planted/, /hangs/, /KiB of memory/, /SIGABRT/, /Error: planted/];
    for (const [number, { target, finding }] of reports.entries()) {
      assert.match(finding?.what ?? "", expected[number] as RegExp, target);
      const input = Buffer.from(finding?.input ?? "", "hex");
      assert.ok(input[0] === 0x42 && input.readUInt32LE(12) > 2 ** 30, target);
    }
  });

  test("finds nothing in a sound target, and keeps inputs that reach new code", async () => {
    const [report] = await fuzzPlanted(["nothing"], 1);
    assert.equal(report?.finding, undefined);
    assert.ok((report?.inputs ?? 0) > 100);
  });
});
