import assert from "node:assert/strict";
import { constants, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { appendFile, mkdir, rename, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { allocateAligned, BlockSource, DIRECT_ALIGNMENT_BYTES } from "../../native-free-io/block-source.js";
import { dataRanges } from "../../native-free-io/data-ranges.js";
import { withLoopDevice } from "../support/loop-device.js";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { tempFolder } from "../support/temp-folder.js";

async function withSource(path: string, use: (source: BlockSource) => unknown): Promise<void> {
  const source = await BlockSource.open(path);
  try {
    await use(source);
  } finally {
    await source.close();
  }
}

test("a file is found with its size, however large", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "full"), new SeededRandom("full").bytes(100_001));
  await withSource(join(folder, "full"), ({ path, kind, sizeBytes }) => {
    assert.deepEqual(
      { path, kind, sizeBytes },
      { path: join(folder, "full"), kind: "file", sizeBytes: 100_001 },
    );
  });
  await writeFile(join(folder, "sparse"), "");
  await truncate(join(folder, "sparse"), 16 * 2 ** 40 - 8192);
  await withSource(join(folder, "sparse"), ({ sizeBytes }) => assert.equal(sizeBytes, 16 * 2 ** 40 - 8192));
});

test("an empty file is a source of 0 bytes; a file of /proc with size 0 that holds data is refused", async () => {
  const path = join(await tempFolder(), "empty");
  await writeFile(path, "");
  await withSource(path, ({ sizeBytes }) => assert.equal(sizeBytes, 0));
  await assert.rejects(BlockSource.open("/proc/meminfo"), { code: "SourceUnreadable", message: /size/ });
});

test("a file system that refuses O_DIRECT is read without it, and the source reports that", async () => {
  const path = "/sys/devices/system/cpu/online";
  assert.throws(() => openSync(path, constants.O_RDONLY | constants.O_DIRECT), { code: "EINVAL" });
  await withSource(path, ({ direct, fd }) => {
    assert.equal(direct, false);
    const content = readFileSync(path);
    const read = allocateAligned(DIRECT_ALIGNMENT_BYTES);
    assert.equal(readSync(fd, read, 0, DIRECT_ALIGNMENT_BYTES, 0), content.length);
    assert.ok(read.subarray(0, content.length).equals(content));
  });
});

test("a link is followed to its target", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "file"), "content");
  await symlink("file", join(folder, "link"));
  await withSource(join(folder, "link"), ({ kind, sizeBytes }) => {
    assert.deepEqual({ kind, sizeBytes }, { kind: "file", sizeBytes: 7 });
  });
});

test("a missing path is not found; a folder, a character device and a path through a file are unreadable", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "file"), "");
  await mkdir(join(folder, "folder"));
  await symlink("nowhere", join(folder, "dangling"));
  const missing = [join(folder, "missing"), join(folder, "dangling")];
  for (const path of missing) {
    await assert.rejects(BlockSource.open(path), { code: "SourceNotFound", object: path });
  }
  for (const path of [join(folder, "folder"), "/dev/null", "/dev/zero", join(folder, "file", "x")]) {
    await assert.rejects(BlockSource.open(path), { code: "SourceUnreadable", object: path });
  }
});

test("a source stays the same file when its path comes to name another", async () => {
  const folder = await tempFolder();
  const [path, other] = [join(folder, "image"), join(folder, "other")];
  await writeFile(path, "");
  await truncate(path, 2 ** 20);
  await writeFile(other, new SeededRandom("other").bytes(2 ** 20));
  await withSource(path, async (source) => {
    await rename(other, path);
    const block = allocateAligned(DIRECT_ALIGNMENT_BYTES);
    assert.equal(readSync(source.fd, block, 0, DIRECT_ALIGNMENT_BYTES, 0), DIRECT_ALIGNMENT_BYTES);
    assert.ok(block.equals(Buffer.alloc(DIRECT_ALIGNMENT_BYTES)));
    assert.equal(await source.hasChanged(), false);
  });
});

test("a file that is written to or grows has changed", async () => {
  const path = join(await tempFolder(), "file");
  await writeFile(path, "content");
  await withSource(path, async (source) => {
    assert.equal(await source.hasChanged(), false);
    await utimes(path, new Date(0), new Date(0));
    assert.equal(await source.hasChanged(), true);
  });
  await withSource(path, async (source) => {
    await appendFile(path, "more");
    assert.equal(await source.hasChanged(), true);
  });
});

for (const sectorBytes of [512, 4096]) {
  rootTest(
    `a block device of ${sectorBytes}-byte sectors has the size that sysfs says and is read with O_DIRECT`,
    async () => {
      const image = join(await tempFolder(), "image");
      const content = new SeededRandom("device").bytes(3 * 2 ** 20 + 4096);
      await writeFile(image, content);
      await withLoopDevice(image, { sectorBytes }, (device) =>
        withSource(device, async (source) => {
          const { path, kind, sizeBytes, direct, fd } = source;
          assert.deepEqual(
            { path, kind, sizeBytes, direct },
            { path: device, kind: "block-device", sizeBytes: content.length, direct: true },
          );
          assert.equal(await dataRanges(source), undefined);
          assert.equal(await source.hasChanged(), false);
          assert.equal(fstatSync(fd).size, 0);
          const read = allocateAligned(content.length);
          assert.equal(readSync(fd, read, 0, content.length, 0), content.length);
          assert.ok(read.equals(content));
        }),
      );
    },
  );
}

rootTest("a device whose size is not a multiple of 4096 bytes is read to its last sector", async () => {
  const image = join(await tempFolder(), "image");
  const content = new SeededRandom("odd device").bytes(2 * 2 ** 20 + 3 * 512);
  await writeFile(image, content);
  await withLoopDevice(image, { sectorBytes: 512 }, (device) =>
    withSource(device, ({ fd, sizeBytes }) => {
      assert.equal(sizeBytes, content.length);
      const last = allocateAligned(DIRECT_ALIGNMENT_BYTES);
      assert.equal(readSync(fd, last, 0, DIRECT_ALIGNMENT_BYTES, 2 * 2 ** 20), 3 * 512);
      assert.ok(last.subarray(0, 3 * 512).equals(content.subarray(2 * 2 ** 20)));
    }),
  );
});

test("a source is opened for reading only", async () => {
  const path = join(await tempFolder(), "file");
  await writeFile(path, "content");
  await withSource(path, ({ fd }) => assert.throws(() => writeSync(fd, "x"), { code: "EBADF" }));
});
