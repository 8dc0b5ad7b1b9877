import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseVolumeKind, VOLUME_TYPES } from "../../../controller/cli/request-options.js";

const parse = (volumeType: (typeof VOLUME_TYPES)[number], iops?: number, throughput?: number) =>
  parseVolumeKind({ volumeType, iops, throughput });

describe("the kind of the temporary volumes", () => {
  test("may be given by its type alone if the type needs no IOPS", () => {
    for (const volumeType of VOLUME_TYPES.filter((type) => !type.startsWith("io")))
      assert.deepEqual(parse(volumeType), { volumeType, iops: null, throughputMibps: null });
  });

  test("may have the least and the most IOPS and throughput that its type takes, and nothing beyond", () => {
    parse("gp3", 3000, 125);
    parse("gp3", 80_000, 2000);
    parse("io1", 64_000);
    parse("io2", 256_000);
    assert.throws(() => parse("gp3", 80_001), { code: "Usage" });
    assert.throws(() => parse("gp3", 3000, 124), { code: "Usage" });
    assert.throws(() => parse("io1", 64_001), { code: "Usage" });
    assert.throws(() => parse("io2", 99), { code: "Usage" });
  });

  test("names the types that take an option that it does not", () => {
    assert.throws(() => parse("st1", 500), { remedy: /--volume-type gp3 or io1 or io2/ });
    assert.throws(() => parse("io2", 500, 500), { remedy: /--volume-type gp3\./ });
  });
});
