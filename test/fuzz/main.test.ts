import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { fullDepthOnly } from "../support/depth.js";
import { startProgram } from "../support/start-program.js";

const FUZZER = fileURLToPath(new URL("./main.js", import.meta.url));

function fuzz(seconds: string, ...targets: string[]) {
  return startProgram(FUZZER, targets, { env: { BLOCKFERRY_FUZZ_SECONDS: seconds } }).result;
}

for (const seconds of ["5m", "", "0", "-1", "NaN", "Infinity"]) {
  test(`the fuzzer is not started for "${seconds}" seconds`, async () => {
    const { code, stdout, stderr } = await fuzz(seconds);
    assert.equal(code, 1, stdout);
    assert.match(stderr, /BLOCKFERRY_FUZZ_SECONDS is a number of seconds above 0/);
  });
}

test("a target that got no time fails, and one that was fuzzed does not", fullDepthOnly, async () => {
  const short = await fuzz("0.000001", "packs noticed, plain");
  assert.match(short.stdout, /NOT FUZZED: packs noticed, plain/);
  assert.equal(short.code, 1, short.stderr);
  const long = await fuzz("1", "packs noticed, plain");
  assert.match(long.stdout, /packs noticed, plain: [1-9]\d* inputs/);
  assert.equal(long.code, 0, long.stderr);
});
