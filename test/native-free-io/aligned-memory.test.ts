import assert from "node:assert/strict";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { allocateAligned, BlockSource } from "../../native-free-io/block-source.js";
import { SeededRandom } from "../support/random.js";
import { tempFolder } from "../support/temp-folder.js";

test("aligned memory has the size asked for, is zeroed, and no two pieces overlap", () => {
  for (const sizeBytes of [0, 1, 4096, 65_536, 65_537, 3 * 2 ** 20 + 1]) {
    const [a, b] = [allocateAligned(sizeBytes), allocateAligned(sizeBytes)];
    assert.equal(a.length, sizeBytes);
    a.fill(0xff);
    assert.ok(b.equals(Buffer.alloc(sizeBytes)));
  }
});

test("a file is read and written with O_DIRECT through aligned memory, and refused through memory at an odd address", async (t) => {
  const path = join(await tempFolder(), "file");
  const content = new SeededRandom("direct").bytes(16_384);
  await writeFile(path, content);
  const source = await BlockSource.open(path);
  await source.close();
  if (!source.direct) {
    t.skip("the file system of the temporary folder takes no O_DIRECT");
    return;
  }
  const fd = openSync(path, constants.O_RDWR | constants.O_DIRECT);
  try {
    const aligned = allocateAligned(16_384);
    assert.equal(readSync(fd, aligned, 0, 16_384, 0), 16_384);
    assert.ok(aligned.equals(content));
    aligned.reverse();
    assert.equal(writeSync(fd, aligned, 4096, 8192, 4096), 8192);
    const again = allocateAligned(8192);
    assert.equal(readSync(fd, again, 0, 8192, 4096), 8192);
    assert.ok(again.equals(aligned.subarray(4096, 4096 + 8192)));
    const odd = allocateAligned(16_384).subarray(1);
    assert.throws(() => readSync(fd, odd, 0, 4096, 0), { code: "EINVAL" });
  } finally {
    closeSync(fd);
  }
});
