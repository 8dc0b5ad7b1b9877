import assert from "node:assert/strict";
import { readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { expectedMemoryBytes } from "../../agent/tune/advise.js";
import { assertSameArea } from "../support/areas.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../support/encryption.js";
import { withExt4 } from "../support/mounts.js";
import { runMeasured } from "../support/peak-memory.js";
import { writeRandomFile, writeSparseFile } from "../support/random-files.js";
import {
  agentFails,
  assertWhole,
  backUp,
  initPlain,
  newRepository,
  restoreTo,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { seeded } from "../support/seeded.js";
import { memoryFolder, tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

/** The memory limit for a device of 64 GiB. */
const MAX_RSS_BYTES = 400 * MIB;
/** Zeros around a data area that may be written with it. */
const MAX_EDGE_BYTES = 128 * 1024;

test(
  "a file of 16 TiB with data at its start, in its middle and at its end comes back, sparse",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await memoryFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    const areas = [
      { offset: 0, length: MIB + 77 },
      { offset: 8 * TIB - 12345, length: 2 * MIB },
      { offset: 16 * TIB - MIB - 1, length: MIB + 1 },
    ];
    await writeSparseFile(image, 16 * TIB, areas, random);
    const { stats, volumes } = await backUp(repo, image);
    assert.equal(volumes[0]?.sizeBytes, 16 * TIB);
    assert.equal(stats.sourceBytes, 16 * TIB);
    assert.ok(stats.newBytes < 16 * MIB, `${stats.newBytes} new bytes`);
    const again = await backUp(repo, image);
    assert.equal(again.stats.storedBytes, 0);
    await assertWhole(repo);
    const target = join(folder, "restored.img");
    await restoreTo(repo, "latest", target);
    const restored = await stat(target);
    assert.equal(restored.size, 16 * TIB);
    for (const area of areas) await assertSameArea(target, image, area);
    const takenBytes = restored.blocks * 512;
    assert.ok(
      takenBytes <= (await stat(image)).blocks * 512 + areas.length * MAX_EDGE_BYTES,
      `the rest is holes, for the areas, which are not zeros, take nearly all of ${takenBytes} bytes`,
    );
  }),
);

rootTest(
  "a file system that takes no file of 16 TiB is named as the reason, and nothing is left there",
  fullDepthOnly,
  async () => {
    const folder = await memoryFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeFile(image, "data at the start");
    await truncate(image, 16 * TIB);
    await backUp(repo, image);
    await withExt4(join(folder, "ext4.img"), 16 * MIB, join(folder, "mnt"), async (mounted) => {
      const target = join(mounted, "restored.img");
      const error = await agentFails(1, "restore", "--repo", repo, "--point", "latest", "--target", target);
      assert.equal(error.code, "TargetNotUsable");
      assert.match(error.remedy, /XFS/);
      assert.deepEqual(await readdir(mounted), ["lost+found"]);
    });
  },
);

test(
  "a sparse file of 64 GiB is backed up, verified and restored in 400 MiB of memory, with default flags",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    const areas = Array.from({ length: 64 }, (_, number) => ({ offset: number * GIB, length: 10 * MIB }));
    await writeSparseFile(image, 64 * GIB, areas, random);
    const runs = [
      ["backup", "--repo", repo, "--device", image],
      ["verify", "--repo", repo, "--read-data"],
      ["restore", "--repo", repo, "--point", "latest", "--target", join(folder, "restored.img")],
    ];
    for (const args of runs) {
      const peak = (await runMeasured(args)).peakBytes;
      assert.ok(peak > 50 * MIB && peak <= MAX_RSS_BYTES, `${args[0]} took ${(peak / MIB).toFixed(0)} MiB`);
    }
    for (const area of areas) await assertSameArea(join(folder, "restored.img"), image, area);
  }),
);

test(
  "a backup takes no more memory than the formula says, into an encrypted repository neither",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    const size = { threads: 4, queueDepth: 16, sourceBytes: 256 * MIB };
    await writeRandomFile(image, size.sourceBytes, random);
    for (const init of [initPlain, initEncrypted]) {
      const repo = join(folder, init.name);
      await init(repo);
      const { storage } = await openWithPassphrase(repo);
      const { partBytes, cipher } = storage;
      const { peakBytes } = await runMeasured([
        "backup",
        "--repo",
        repo,
        "--device",
        image,
        "--threads",
        "4",
      ]);
      const expected = expectedMemoryBytes({ ...size, partBytes, cipherBytes: cipher.bytesPerThread });
      assert.ok(peakBytes <= expected, `${init.name}: ${peakBytes} bytes of ${expected}`);
    }
  }),
);
