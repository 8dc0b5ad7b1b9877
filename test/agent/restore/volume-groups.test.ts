import assert from "node:assert/strict";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { groupByChunks, type LostRange, restore } from "../../../agent/restore/restore.js";
import type { WatchedRun } from "../../../agent/threads/shared-memory.js";
import { BlockferryError } from "../../../foundation/errors.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { fullDepthOnly } from "../../support/depth.js";
import { openWithPassphrase } from "../../support/encryption.js";
import { QUIET } from "../../support/in-process.js";
import type { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { backUp, filesBelow, newRepository } from "../../support/repositories.js";
import { assertSameContent } from "../../support/same-content.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const CHUNKS_AT_ONCE = 5;
/** Groups: the first alone is too large. The next two fit together. The fourth and the last do not. */
const SIZES = { a: 7 * MIB, b: MIB, c: MIB + 1, d: 2 * MIB + 4096, e: 3 * MIB };

test("volumes are grouped in their order, up to the most chunks; a larger one is alone", () => {
  const volumes = Object.values(SIZES).map((sizeBytes) => ({ volume: { sizeBytes } }));
  const groups = groupByChunks(volumes, CHUNKS_AT_ONCE);
  assert.deepEqual(
    groups.map((group) => group.map(({ volume }) => volume.sizeBytes)),
    [[SIZES.a], [SIZES.b, SIZES.c], [SIZES.d], [SIZES.e]],
  );
  assert.equal(groupByChunks(volumes, 1000).length, 1);
  assert.deepEqual(groupByChunks([], 1000), []);
});

/**
 * Makes a point of all volumes. The last one was added later than the others, so its chunks are in separate
 * packs.
 */
async function backUpVolumes(random: SeededRandom) {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = (name: string) => join(folder, `${name}.img`);
  const devices: string[] = [];
  for (const [name, sizeBytes] of Object.entries(SIZES)) {
    await writeRandomFile(image(name), sizeBytes, random);
    devices.push(`${image(name)}=${name}`);
  }
  await backUp(repo, devices.slice(0, -1));
  const before = new Set(await filesBelow(join(repo, "packs")));
  const { point } = await backUp(repo, devices);
  const later = (await filesBelow(join(repo, "packs"))).filter((path) => !before.has(path));
  const repository = await openWithPassphrase(repo);
  const { volumes } = await findPoint(repository.storage, point);
  const target = (name: string) => join(folder, `${name}.restored`);
  const runs: WatchedRun[] = [];
  return {
    ...{ folder, image, later, target, runs },
    restore: async (missing: "refuse" | "zeros"): Promise<LostRange[]> => {
      const { lost } = await restore(repository, {
        targets: volumes.map((volume) => ({ volume, path: target(volume.name) })),
        ...{ existing: "replace", missing, threads: 2, maxMappedChunks: CHUNKS_AT_ONCE },
        watcher: { ...QUIET, start: (run) => runs.push(run) },
        signal: new AbortController().signal,
      });
      return lost;
    },
  };
}

/** Removes the pack with the chunks of the last volume, which is larger than the pack of its block map. */
async function loseLastVolume(later: string[]): Promise<void> {
  const sizes = await Promise.all(later.map(async (path) => (await stat(path)).size));
  await rm(later[sizes.indexOf(Math.max(...sizes))] as string);
}

test(
  "volumes whose block maps are not in memory together are restored bit for bit, as one run",
  fullDepthOnly,
  seeded(async (random) => {
    const { image, target, restore, runs } = await backUpVolumes(random);
    assert.deepEqual(await restore("refuse"), []);
    for (const name of Object.keys(SIZES)) await assertSameContent(target(name), image(name));
    const [run, ...others] = runs;
    assert.deepEqual(others, []);
    const totalBytes = Object.values(SIZES).reduce((sum, sizeBytes) => sum + sizeBytes, 0);
    assert.equal(run?.totalBytes, totalBytes);
    assert.equal(run?.totals().doneBytes, totalBytes);
  }),
);

test(
  "data that only the last group of volumes lacks are refused before anything is written, or named",
  seeded(async (random) => {
    const { folder, image, later, target, restore, runs } = await backUpVolumes(random);
    await loseLastVolume(later);
    await writeFile(target("a"), "kept");
    const before = await readdir(folder);
    await assert.rejects(
      restore("refuse"),
      (error) => error instanceof BlockferryError && error.code === "ChunkMissing" && error.object === "e",
    );
    assert.deepEqual(await readdir(folder), before);
    assert.equal(await readFile(target("a"), "utf8"), "kept");
    assert.deepEqual(runs, []);

    assert.deepEqual(await restore("zeros"), [{ volume: "e", offset: 0, length: SIZES.e }]);
    for (const name of ["a", "b", "c", "d"]) await assertSameContent(target(name), image(name));
    assert.deepEqual(await readFile(target("e")), Buffer.alloc(SIZES.e));
  }),
);
