import assert from "node:assert/strict";
import { mkdir, readdir, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { describe, test } from "node:test";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { agentJson } from "../support/agent.js";
import { assertSameArea } from "../support/areas.js";
import { byDepth, fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { overwriteAtRandom, writeRandomFile, writeSparseFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  type BackupOutput,
  backUp,
  bytesBelow,
  newRepository,
  pointIds,
  restoreTo,
} from "../support/repositories.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { stopwatch } from "../support/wait-until.js";

const MIB = 1024 * 1024;
/**
 * Largest size of the block-map nodes that one changed chunk replaces: a segment of 2,048 ids and the nodes
 * above it.
 */
const MAP_BYTES_A_CHANGE = 256 * 1024;

const ODD_SIZES = [
  ...[0, 1, 511, 512, 513, 4095, 4096, 4097],
  ...[CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * MIB + 1234],
];

const MIXED_OPTIONS = ["--threads=4", "--queue-depth=3", "--compression=none"];
const OPTIONS = byDepth({
  quick: [[], MIXED_OPTIONS],
  full: [[], ["--compression=none"], ["--threads=1", "--queue-depth=1"], ["--threads=4"], MIXED_OPTIONS],
});

describe("volumes of any size, backed up together, come back bit for bit", async () => {
  const folder = await tempFolder();
  for (const [number, options] of OPTIONS.entries()) {
    test(
      `with ${options.join(" ") || "the default options"}`,
      seeded(async (random) => {
        const lane = join(folder, String(number));
        await mkdir(lane);
        const repo = await newRepository(lane);
        const image = (size: number) => join(lane, `${size}.img`);
        for (const size of ODD_SIZES) await writeMixedImage(image(size), size, random);
        const result = await backUp(
          repo,
          ODD_SIZES.map((size) => `${image(size)}=volume-${size}`),
          ...options,
        );
        assert.deepEqual(
          result.volumes.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
          ODD_SIZES.map((size) => ({ name: `volume-${size}`, sizeBytes: size })),
        );
        const { sourceBytes } = result.stats;
        assert.equal(
          sourceBytes,
          ODD_SIZES.reduce((sum, size) => sum + size, 0),
        );
        const target = (size: number) => join(lane, `${size}.restored`);
        await restoreTo(
          repo,
          "latest",
          ODD_SIZES.map((size) => `volume-${size}=${target(size)}`),
          ...options.filter((option) => option.startsWith("--threads")),
        );
        for (const size of ODD_SIZES) await assertSameContent(target(size), image(size));
        await assertWhole(repo);
      }),
    );
  }
});

test(
  "a larger image with holes, duplicates and zeros comes back bit for bit, and takes no room for them",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeMixedImage(image, 96 * MIB + 4321, random);
    const { point, stats } = await backUp(repo, image);
    assert.ok(stats.zeroBytes > 0 && stats.duplicateBytes > 0 && stats.newBytes > 0);
    assert.ok(stats.newBytes + stats.zeroBytes + stats.duplicateBytes >= stats.sourceBytes);
    assert.ok(stats.newBytes < stats.sourceBytes - stats.zeroBytes, "duplicates are stored once");
    assert.ok(stats.storedBytes < stats.newBytes, "lz4 makes repeated text small");
    const packBytes = await bytesBelow(join(repo, "packs"));
    assert.ok(packBytes >= stats.storedBytes && packBytes < stats.storedBytes + MIB, `packs of ${packBytes}`);
    await assertRestores(repo, point, image, join(folder, "restored.img"));
  }),
);

test(
  "with --compression none, chunks are stored as they are; both ways share one repository",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const plain = join(folder, "plain.img");
    await writeFile(plain, Buffer.alloc(4 * MIB, `line of text ${random.bytes(4).toString("hex")}\n`));
    const first = await backUp(repo, plain, "--compression=none");
    assert.ok(first.stats.storedBytes >= first.stats.newBytes);
    await overwriteAtRandom(plain, MIB, 10, random);
    const second = await backUp(repo, plain, "--compression=lz4");
    assert.ok(second.stats.newBytes >= CHUNK_BYTES);
    assert.ok(second.stats.storedBytes < second.stats.newBytes / 2);
    await assertRestores(repo, second.point, plain, join(folder, "restored.img"));
    await assertWhole(repo);
  }),
);

test(
  "a second backup of an unchanged volume stores nothing; after a change it stores the change alone",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeMixedImage(image, 64 * MIB + 513, random);
    const first = await backUp(repo, image);
    const before = await bytesBelow(repo);
    const second = await backUp(repo, image);
    assert.equal(second.stats.newBytes, 0);
    assert.equal(second.stats.storedBytes, 0);
    assert.equal(second.volumes[0]?.root, first.volumes[0]?.root);
    assert.ok((await bytesBelow(repo)) - before < 8 * 1024, "a recovery point is a small file");

    const original = join(folder, "original.img");
    await restoreTo(repo, first.point, original);
    await overwriteAtRandom(image, 10 * MIB + 77, 1, random);
    await overwriteAtRandom(image, 30 * MIB, CHUNK_BYTES, random);
    const third = await backUp(repo, image);
    const { newBytes, storedBytes } = third.stats;
    assert.ok(newBytes >= CHUNK_BYTES && newBytes <= 2 * CHUNK_BYTES + MAP_BYTES_A_CHANGE, `${newBytes} new`);
    assert.ok(storedBytes <= 2 * CHUNK_BYTES + MAP_BYTES_A_CHANGE, `${storedBytes} stored`);

    assert.deepEqual(await pointIds(repo), [first.point, second.point, third.point]);
    await assertRestores(repo, first.point, original, join(folder, "first.img"));
    await assertRestores(repo, second.point, original, join(folder, "second.img"));
    await assertRestores(repo, "latest", image, join(folder, "third.img"));
    await assertWhole(repo);
  }),
);

test(
  "a volume that grew or was cut between backups is kept at each of its sizes",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeMixedImage(image, 3 * MIB + 100, random);
    const points: [string, string][] = [];
    for (const size of [3 * MIB + 100, 6 * MIB, MIB + 1, 0]) {
      await truncate(image, size);
      const { point } = await backUp(repo, image);
      const copy = join(folder, `${size}.copy`);
      await agentJson("restore", "--repo", repo, "--point", point, `--target=${copy}`);
      await assertSameContent(copy, image);
      points.push([point, copy]);
    }
    for (const [point, copy] of points) await assertRestores(repo, point, copy, `${copy}.again`);
  }),
);

test(
  "several backups at once into one repository: every point is right, and the repository whole",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const images = ["a", "b", "c"].map((name) => join(folder, `${name}.img`));
    const [a, b, c] = images as [string, string, string];
    await writeMixedImage(a, 40 * MIB, random);
    await writeMixedImage(b, 40 * MIB + 99, random);
    await backUp(repo, a);
    await restoreTo(repo, "latest", c);
    await overwriteAtRandom(c, 5 * MIB, 3 * MIB, random);
    const runs = [a, b, c, b];
    const results = await Promise.all(runs.map((image) => backUp(repo, image)));
    assert.deepEqual(
      (await pointIds(repo)).slice(1).sort(),
      results.map(({ point }) => point).sort(),
      "every one has a point of its own",
    );
    for (const [number, { point }] of results.entries()) {
      await assertRestores(repo, point, runs[number] as string, join(folder, `${number}.restored`));
    }
    await assertWhole(repo);
    const again = await backUp(repo, c);
    assert.equal(again.stats.storedBytes, 0, "what any of them stored is known to the next");
  }),
);

test("tags, names and sources are kept in the point; white space in a default name becomes _", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const plain = join(folder, "plain.img");
  const awkward = join(folder, "-a name=with every thing, ünd 'quotes'\n.img");
  await writeFile(plain, "plain");
  await writeFile(awkward, "awkward");
  const { point } = await backUp(
    repo,
    [relative(process.cwd(), plain), awkward, `${plain}=second`],
    ...["--tag", "env=prod", "--tag", "note=a=b c", "--tag", "empty="],
  );
  const shown = await agentJson<{ tags: Record<string, string>; volumes: BackupOutput["volumes"] }>(
    ...["show", point, "--repo", repo],
  );
  assert.deepEqual(shown.tags, { env: "prod", note: "a=b c", empty: "" });
  assert.deepEqual(
    shown.volumes.map(({ name, source }) => ({ name, source })),
    [
      { name: "plain.img", source: plain },
      { name: basename(awkward).replaceAll(/\s/g, "_"), source: awkward },
      { name: "second", source: plain },
    ],
  );
});

test(
  "a sparse file is read by its data alone, whatever its name, and behind a symbolic link too",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "-sparse image=1 \\n 'x'\n.img");
    const areas = [
      { offset: 100 * 1024 * MIB + 12345, length: MIB },
      { offset: 255 * 1024 * MIB - 1, length: 3 },
    ];
    await writeSparseFile(image, 256 * 1024 * MIB + 7, areas, random);
    const link = join(folder, "link");
    await symlink(image, link);
    for (const path of [image, link]) {
      const elapsedMs = stopwatch();
      const { stats } = await backUp(repo, `${path}=disk`);
      assert.ok(elapsedMs() < 20_000, `${path} took ${elapsedMs()} ms`);
      assert.equal(stats.sourceBytes, 256 * 1024 * MIB + 7);
      assert.ok(stats.zeroBytes >= stats.sourceBytes - 8 * MIB);
    }
    const target = join(folder, "restored.img");
    await restoreTo(repo, "latest", target);
    for (const area of areas) await assertSameArea(target, image, area);
  }),
);

test("a backup that cannot begin leaves the repository as it was", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  await writeFile(join(folder, "here.img"), "content");
  const before = await readdir(repo, { recursive: true });
  const devices = ["here.img", "missing.img"].flatMap((name) => ["--device", join(folder, name)]);
  const error = await agentFails(1, "backup", "--repo", repo, ...devices);
  assert.equal(error.code, "SourceNotFound");
  assert.equal(error.object, join(folder, "missing.img"));
  const onFolder = await agentFails(1, "backup", "--repo", repo, "--device", folder);
  assert.equal(onFolder.code, "SourceUnreadable");
  assert.deepEqual(await readdir(repo, { recursive: true }), before);
});

test(
  "a volume of random bytes of one pack and more comes back bit for bit",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 150 * MIB + 3, random);
    const { point, stats } = await backUp(repo, image);
    assert.ok(stats.newBytes >= 150 * MIB + 3);
    await assertRestores(repo, point, image, join(folder, "restored.img"));
    await assertWhole(repo);
  }),
);
