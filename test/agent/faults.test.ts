import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { AGENT, agent, agentJson, startAgent } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { withMemoryFileSystem } from "../support/mounts.js";
import { deviceWithBadBlocks, needingNbdDevice, withNbdDevice } from "../support/nbd-device.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  failure,
  newRepository,
  pointIds,
  restoreTo,
  tempFiles,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import type { ProgramResult } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const BLOCK_BYTES = 4096;
const NOBODY = 65534;

rootTest(
  "a device behind FUSE is read whole, although FUSE says that it takes no room",
  needingNbdDevice,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "image");
    const sizeBytes = 3 * MIB + 1234;
    await writeRandomFile(image, sizeBytes, random);
    await withNbdDevice(join(folder, "device"), ["file", image], (device) => backUp(repo, device));
    await assertRestores(repo, "latest", image, join(folder, "restored.img"));
  }),
);

rootTest(
  "a bad block ends the backup, which names the device and the exact byte; no point appears",
  needingNbdDevice,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "image");
    await writeRandomFile(image, 4 * MIB, random);
    for (const offset of [0, MIB + 5 * BLOCK_BYTES, 4 * MIB - BLOCK_BYTES]) {
      const bad = deviceWithBadBlocks(image, 4 * MIB, [{ offset, length: BLOCK_BYTES }]);
      await withNbdDevice(join(folder, `device-${offset}`), bad, async (device) => {
        const error = await agentFails(1, "backup", "--repo", repo, "--device", device);
        assert.equal(error.code, "SourceUnreadable");
        assert.equal(error.object, device);
        assert.equal(error.offset, offset);
        assert.match(error.remedy, /--skip-bad-blocks/);
      });
    }
    assert.deepEqual(await pointIds(repo), []);
    assert.deepEqual(await tempFiles(repo), []);
    await assertWhole(repo);
  }),
);

rootTest(
  "--skip-bad-blocks backs up the rest, records the bad ranges, and restores zeros there",
  needingNbdDevice,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "image");
    const sizeBytes = 4 * MIB + 700;
    await writeRandomFile(image, sizeBytes, random);
    const badRanges = [
      { offset: 0, length: BLOCK_BYTES },
      { offset: MIB - BLOCK_BYTES, length: 3 * BLOCK_BYTES },
      { offset: 3 * MIB + 7 * BLOCK_BYTES, length: BLOCK_BYTES },
      { offset: 4 * MIB, length: 700 },
    ];
    const bad = deviceWithBadBlocks(image, sizeBytes, badRanges);
    const point = await withNbdDevice(join(folder, "device"), bad, async (device) => {
      const result = await backUp(repo, `${device}=disk`, "--skip-bad-blocks");
      assert.deepEqual(result.volumes[0]?.badRanges, badRanges);
      return result.point;
    });
    const shown = await agentJson<RecoveryPoint>("show", point, "--repo", repo);
    assert.deepEqual(shown.volumes[0]?.badRanges, badRanges);
    const { stdout } = await agent("show", point, "--repo", repo);
    assert.match(stdout, new RegExp(`${3 * BLOCK_BYTES} bytes of disk at byte ${MIB - BLOCK_BYTES}`));

    const expected = await readFile(image);
    for (const { offset, length } of badRanges) expected.fill(0, offset, offset + length);
    const target = join(folder, "restored.img");
    await restoreTo(repo, point, target);
    assert.ok((await readFile(target)).equals(expected));
    await assertWhole(repo);
  }),
);

for (const [name, sizeBytes] of [
  ["a part", 3 * MIB + 77],
  ["nothing", 0],
] as const) {
  test(
    `a file cut to ${name} while it is read ends the backup, and no point appears`,
    sizeBytes === 0 ? fullDepthOnly : {},
    seeded(async (random) => {
      const folder = await tempFolder();
      const repo = await newRepository(folder);
      const image = join(folder, "disk.img");
      const before = 400 * MIB;
      await writeRandomFile(image, before, random);
      const args = ["backup", "--repo", repo, "--device", image, "--threads=1", "--queue-depth=1", "--json"];
      const { result } = startAgent(args);
      await waitUntil("the backup writes", async () => (await tempFiles(repo)).length > 0);
      await truncate(image, sizeBytes);
      const error = failure(1, await result);
      assert.equal(error.code, "SourceShrunk");
      assert.equal(error.object, image);
      assert.ok(
        (error.offset ?? -1) >= sizeBytes && (error.offset ?? before) < before,
        `byte ${error.offset}`,
      );
      assert.deepEqual(await pointIds(repo), []);
      assert.deepEqual(await tempFiles(repo), []);
      await assertWhole(repo);
    }),
  );
}

rootTest(
  "a repository that is full ends the backup and stays whole; with more room the same command succeeds",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 120 * MIB, random);
    await withMemoryFileSystem(join(folder, "small"), 80 * MIB, async (small) => {
      const repo = await newRepository(small);
      const error = await agentFails(1, "backup", "--repo", repo, "--device", image);
      assert.equal(error.code, "StorageFull");
      assert.deepEqual(await tempFiles(repo), []);
      assert.deepEqual(await pointIds(repo), []);
      await assertWhole(repo);

      await runTool("mount", "-o", `remount,size=${300 * MIB}`, small);
      const { point } = await backUp(repo, image);
      await assertRestores(repo, point, image, join(folder, "restored.img"));
      await assertWhole(repo);
    });
  }),
);

rootTest(
  "a repository without room for one object stays whole, and its points can still be restored",
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 4 * MIB, random);
    await withMemoryFileSystem(join(folder, "small"), 16 * MIB, async (small) => {
      const repo = await newRepository(small);
      const { point } = await backUp(repo, image);
      await fill(join(small, "ballast"));
      const other = join(folder, "other.img");
      await writeRandomFile(other, 4 * MIB, random);
      const error = await agentFails(1, "backup", "--repo", repo, "--device", other);
      assert.equal(error.code, "StorageFull");
      assert.deepEqual(await tempFiles(repo), []);
      assert.deepEqual(await pointIds(repo), [point]);
      await assertRestores(repo, point, image, join(folder, "restored.img"));
      await assertWhole(repo);
    });
  }),
);

rootTest(
  "a disk that fills up during a restore ends it, and neither the file nor a part of it stays",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 40 * MIB, random);
    await backUp(repo, image);
    await withMemoryFileSystem(join(folder, "small"), 16 * MIB, async (small) => {
      const target = join(small, "restored.img");
      const restore = ["restore", "--repo", repo, "--point", "latest", "--target", target];
      const error = await agentFails(1, ...restore);
      assert.equal(error.code, "TargetWriteFailed");
      assert.match(error.remedy, /Free some space/);
      assert.deepEqual(await readdir(small), []);

      await writeFile(target, "old");
      await agentFails(1, ...restore, "--force");
      assert.deepEqual(await readdir(small), ["restored.img"]);
      assert.equal(await readFile(target, "utf8"), "old");
      await runTool("mount", "-o", `remount,size=${64 * MIB}`, small);
      await agentJson(...restore, "--force");
      await assertSameContent(target, image);
    });
  }),
);

rootTest(
  "a user who may not write to the repository gets an error, and the repository stays unchanged",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 3 * MIB, random);
    const { point } = await backUp(repo, image);
    const before = await readdir(repo, { recursive: true });
    const other = join(folder, "other.img");
    await writeRandomFile(other, 3 * MIB, random);
    const denied = await agentAsNobody("backup", "--repo", repo, "--device", other, "--json");
    assert.equal(failure(1, denied).code, "StorageDenied");
    assert.deepEqual(await readdir(repo, { recursive: true }), before);
    await assertWhole(repo);
    await assertRestores(repo, point, image, join(folder, "restored.img"));
  }),
);

rootTest(
  "a backup that may store everything but its point leaves none; the next one stores nothing but that",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 3 * MIB, random);
    for (const name of ["tmp", "packs", "index", "locks", "points"]) {
      await mkdir(join(repo, name), { recursive: true });
      await chmod(join(repo, name), name === "points" ? 0o555 : 0o777);
    }
    const backup = ["backup", "--repo", repo, "--device", image, "--json"];
    assert.equal(failure(1, await agentAsNobody(...backup)).code, "StorageDenied");
    assert.deepEqual(await pointIds(repo), []);
    assert.deepEqual(await tempFiles(repo), []);
    await assertWhole(repo);
    const { point, stats } = await backUp(repo, image);
    assert.equal(stats.newBytes, 0);
    await assertRestores(repo, point, image, join(folder, "restored.img"));
  }),
);

rootTest(
  "a repository that is mounted read-only refuses backups, and its points are verified and restored",
  async () => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeFile(image, "content");
    await withMemoryFileSystem(join(folder, "mounted"), 16 * MIB, async (mounted) => {
      const repo = await newRepository(mounted);
      const { point } = await backUp(repo, image);
      await runTool("mount", "-o", "remount,ro", mounted);
      const error = await agentFails(1, "backup", "--repo", repo, "--device", image);
      assert.equal(error.code, "StorageDenied");
      assert.match(error.remedy, /writable/);
      await assertWhole(repo);
      await assertRestores(repo, point, image, join(folder, "restored.img"));
    });
  },
);

rootTest("a user who may not write a folder is refused a restore into it", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeFile(image, "content");
  await backUp(repo, image);
  const targets = join(folder, "targets");
  await mkdir(targets);
  const target = join(targets, "restored.img");
  const restore = ["restore", "--repo", repo, "--point", "latest", "--target", target, "--json"];
  assert.equal(failure(1, await agentAsNobody(...restore)).code, "TargetNotUsable");
  assert.deepEqual(await readdir(targets), []);
});

/** Writes to a file until its file system is full. */
async function fill(path: string): Promise<void> {
  await assert.rejects(writeFile(path, Buffer.alloc(32 * MIB, 1)), { code: "ENOSPC" });
}

/**
 * Runs the agent as a user who owns no files. One capability lets it read everything, because the program,
 * its image and its repository may be below folders of root. It may not write anything.
 */
async function agentAsNobody(...args: string[]): Promise<ProgramResult> {
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const mayRead = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"];
  const child = spawn("setpriv", [...user, ...mayRead, process.execPath, AGENT, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  }
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, ...output };
}
