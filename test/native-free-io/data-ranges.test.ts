import assert from "node:assert/strict";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { BlockSource } from "../../native-free-io/block-source.js";
import { type ByteRange, dataRanges } from "../../native-free-io/data-ranges.js";
import { tempFolder } from "../support/temp-folder.js";

/** Larger than the blocks of all usual file systems, so that a hole of this size remains a hole. */
const HOLE_BYTES = 256 * 1024;

async function writeSparse(path: string, sizeBytes: number, data: ByteRange[]): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.truncate(sizeBytes);
    for (const { offset, length } of data) await file.write(Buffer.alloc(length, 0xda), 0, length, offset);
  } finally {
    await file.close();
  }
}

async function rangesOf(path: string): Promise<ByteRange[] | undefined> {
  const source = await BlockSource.open(path);
  try {
    return await dataRanges(source);
  } finally {
    await source.close();
  }
}

/**
 * Asserts that the ranges contain all data, are in order and within the file, and leave out every hole of at
 * least `HOLE_BYTES`.
 */
function assertCovers(ranges: ByteRange[] | undefined, sizeBytes: number, data: ByteRange[]): void {
  assert.ok(ranges !== undefined, "the file has holes");
  const said = `ranges ${JSON.stringify(ranges.slice(0, 50))}`;
  let end = 0;
  for (const range of ranges) {
    assert.ok(range.offset >= end && range.length > 0, said);
    end = range.offset + range.length;
  }
  assert.ok(end <= sizeBytes, said);
  let next = 0;
  for (const { offset, length } of data) {
    const reaches = (range: ByteRange) => range.offset + range.length >= offset + length;
    while (next < ranges.length && !reaches(ranges[next] as ByteRange)) next++;
    const holder = ranges[next];
    assert.ok(holder !== undefined && holder.offset <= offset, `${offset}+${length} is in no range: ${said}`);
  }
  const covered = ranges.reduce((sum, { length }) => sum + length, 0);
  const written = data.reduce((sum, { length }) => sum + length, 0);
  assert.ok(covered <= written + data.length * 2 * 65_536, `${covered} bytes for ${written} of data`);
}

test("the ranges of any file with holes cover its data and leave out its holes", async () => {
  const folder = await tempFolder();
  const extent = fc.record({
    hole: fc.integer({ min: HOLE_BYTES, max: 4 * HOLE_BYTES }),
    length: fc.oneof(fc.constantFrom(1, 511, 512, 4096), fc.integer({ min: 1, max: 40_000 })),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(extent, { minLength: 1, maxLength: 12 }),
      fc.nat({ max: 3 * HOLE_BYTES }),
      async (extents, tail) => {
        let end = 0;
        const data = extents.map(({ hole, length }) => {
          const offset = end + hole;
          end = offset + length;
          return { offset, length };
        });
        const path = join(folder, "sparse");
        await writeSparse(path, end + tail, data);
        assertCovers(await rangesOf(path), end + tail, data);
      },
    ),
    { numRuns: 25 },
  );
});

test("a file may have a hostile name", async () => {
  const folder = await tempFolder();
  const data = [{ offset: 2 * HOLE_BYTES, length: 4096 }];
  const names = [
    ...[
      "-",
      "--help",
      "-rf",
      "a=b",
      "=",
      "new\nline",
      "GNU.sparse.map=0,1\n30 GNU.sparse.size=5",
      "two  spaces ",
    ],
    ...["ünïcödé ☃", "back\\slash", "*?[x]", "host:file", "@file", "'\"`$(x)", "x".repeat(250), "new\\nline"],
  ];
  for (const name of names) {
    const path = join(folder, name);
    await writeSparse(path, 4 * HOLE_BYTES, data);
    assertCovers(await rangesOf(path), 4 * HOLE_BYTES, data);
    const hostileFolder = join(folder, `folder ${name}`.slice(0, 250));
    await mkdir(hostileFolder);
    await writeSparse(join(hostileFolder, "file"), 4 * HOLE_BYTES, data);
    assertCovers(await rangesOf(join(hostileFolder, "file")), 4 * HOLE_BYTES, data);
  }
});

test("a path relative to the working folder, with a leading dash, is taken as a path", async () => {
  const folder = await tempFolder();
  const previous = process.cwd();
  process.chdir(folder);
  try {
    await mkdir("-C");
    const data = [{ offset: HOLE_BYTES, length: 10 }];
    for (const path of ["-sparse", "-C/file", "--checkpoint=1"]) {
      await writeSparse(path, 3 * HOLE_BYTES, data);
      assertCovers(await rangesOf(path), 3 * HOLE_BYTES, data);
    }
  } finally {
    process.chdir(previous);
  }
});

test("a large file of holes only has no data", async () => {
  const folder = await tempFolder();
  for (const sizeBytes of [HOLE_BYTES + 1, 2 ** 40 + 511]) {
    await writeSparse(join(folder, "hole"), sizeBytes, []);
    assert.deepEqual(await rangesOf(join(folder, "hole")), []);
  }
});

test("a file without holes, or without anything, is to be read whole", async () => {
  const folder = await tempFolder();
  for (const sizeBytes of [0, 1, 4096, 100_001]) {
    await writeSparse(join(folder, "full"), sizeBytes, [{ offset: 0, length: sizeBytes }]);
    assert.equal(await rangesOf(join(folder, "full")), undefined);
  }
});

test("data up to the odd end of a file is data to its last byte", async () => {
  const folder = await tempFolder();
  for (const odd of [1, 511, 513, 4095, 4097]) {
    const data = [{ offset: 2 * HOLE_BYTES, length: odd }];
    await writeSparse(join(folder, "odd"), 2 * HOLE_BYTES + odd, data);
    const ranges = await rangesOf(join(folder, "odd"));
    assertCovers(ranges, 2 * HOLE_BYTES + odd, data);
    const last = ranges?.at(-1) as ByteRange;
    assert.equal(last.offset + last.length, 2 * HOLE_BYTES + odd);
  }
});

test("a map of thousands of extents is read whole", async () => {
  const path = join(await tempFolder(), "many");
  const data = Array.from({ length: 8000 }, (_, number) => ({
    offset: (2 * number + 1) * 65_536,
    length: 512,
  }));
  await writeSparse(path, 16_001 * 65_536, data);
  assertCovers(await rangesOf(path), 16_001 * 65_536, data);
});

test("a file small enough for its inode is read whole", async () => {
  const folder = await tempFolder();
  for (const sizeBytes of [1, 4096, 65_535]) {
    await writeSparse(join(folder, "hole"), sizeBytes, []);
    assert.equal(await rangesOf(join(folder, "hole")), undefined, `${sizeBytes}`);
  }
});
