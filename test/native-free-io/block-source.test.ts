import assert from "node:assert/strict";
import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import {
  DIRECT_ALIGNMENT_BYTES,
  inspectBlockSource,
  openBlockSource,
} from "../../native-free-io/block-source.js";
import { dataRanges } from "../../native-free-io/data-ranges.js";
import { withLoopDevice } from "../support/loop-device.js";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { tempFolder } from "../support/temp-folder.js";

test("a file is found with its size and what is allocated of it", async () => {
  const folder = await tempFolder();
  const full = join(folder, "full");
  await writeFile(full, new SeededRandom("full").bytes(100_001));
  const source = await inspectBlockSource(full);
  assert.equal(source.path, full);
  assert.equal(source.kind, "file");
  assert.equal(source.sizeBytes, 100_001);
  assert.ok(source.allocatedBytes >= 100_001);
  const sparse = join(folder, "sparse");
  await writeFile(sparse, "");
  await truncate(sparse, 16 * 2 ** 40 - 8192);
  const { sizeBytes, allocatedBytes } = await inspectBlockSource(sparse);
  assert.deepEqual({ sizeBytes, allocatedBytes }, { sizeBytes: 16 * 2 ** 40 - 8192, allocatedBytes: 0 });
});

test("an empty file is a source of no bytes", async () => {
  const path = join(await tempFolder(), "empty");
  await writeFile(path, "");
  assert.equal((await inspectBlockSource(path)).sizeBytes, 0);
});

test("a link is followed to what it names", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "file"), "content");
  await symlink("file", join(folder, "link"));
  const { kind, sizeBytes } = await inspectBlockSource(join(folder, "link"));
  assert.deepEqual({ kind, sizeBytes }, { kind: "file", sizeBytes: 7 });
});

test("a missing path is not found; a folder, a character device and a path through a file are unreadable", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "file"), "");
  await mkdir(join(folder, "folder"));
  await symlink("nowhere", join(folder, "dangling"));
  const missing = [join(folder, "missing"), join(folder, "dangling")];
  for (const path of missing) {
    await assert.rejects(inspectBlockSource(path), { code: "SourceNotFound", object: path });
  }
  for (const path of [join(folder, "folder"), "/dev/null", "/dev/zero", join(folder, "file", "x")]) {
    await assert.rejects(inspectBlockSource(path), { code: "SourceUnreadable", object: path });
  }
});

for (const sectorBytes of [512, 4096]) {
  rootTest(
    `a block device of ${sectorBytes}-byte sectors has the size that sysfs says and is read with O_DIRECT`,
    async () => {
      const image = join(await tempFolder(), "image");
      const content = new SeededRandom("device").bytes(3 * 2 ** 20 + 4096);
      await writeFile(image, content);
      await withLoopDevice(image, { sectorBytes }, async (device) => {
        const source = await inspectBlockSource(device);
        assert.deepEqual(source, {
          path: device,
          kind: "block-device",
          sizeBytes: content.length,
          allocatedBytes: content.length,
          direct: true,
        });
        assert.equal(await dataRanges(source), undefined);
        const fd = openBlockSource(source);
        try {
          assert.equal(fstatSync(fd).size, 0);
          const read = allocateAligned(content.length);
          assert.equal(readSync(fd, read, 0, content.length, 0), content.length);
          assert.ok(read.equals(content));
        } finally {
          closeSync(fd);
        }
      });
    },
  );
}

rootTest("a device whose size is no multiple of 4096 bytes is read to its last sector", async () => {
  const image = join(await tempFolder(), "image");
  const content = new SeededRandom("odd device").bytes(2 * 2 ** 20 + 3 * 512);
  await writeFile(image, content);
  await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
    const source = await inspectBlockSource(device);
    assert.equal(source.sizeBytes, content.length);
    const fd = openBlockSource({ path: device, direct: true });
    try {
      const last = allocateAligned(DIRECT_ALIGNMENT_BYTES);
      assert.equal(readSync(fd, last, 0, DIRECT_ALIGNMENT_BYTES, 2 * 2 ** 20), 3 * 512);
      assert.ok(last.subarray(0, 3 * 512).equals(content.subarray(2 * 2 ** 20)));
    } finally {
      closeSync(fd);
    }
  });
});

test("a source is opened for reading only", async () => {
  const path = join(await tempFolder(), "file");
  await writeFile(path, "content");
  const fd = openBlockSource({ path, direct: false });
  try {
    assert.equal(readSync(fd, Buffer.alloc(7), 0, 7, 0), 7);
    assert.throws(() => writeSync(fd, "x"), { code: "EBADF" });
  } finally {
    closeSync(fd);
  }
});
