import assert from "node:assert/strict";
import { mkdir, open, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../foundation/errors.js";
import { agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted } from "../support/encryption.js";
import { withBtrfs, withExt4, withMount, withXfs } from "../support/mounts.js";
import type { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  bytesBelow,
  filesBelow,
  newRepository,
  pointIds,
  tempFiles,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const MIB = 1024 * 1024;
const PRUNE_NOW = ["--grace-period", "0s"];

type PruneOutput = { removed: { packs: number; bytes: number }; rewritten: { packs: number } };

for (const [lack, options] of [
  ["inode", ["-o", "size=64m,nr_inodes=120"]],
  ["block", ["-o", "size=48m,nr_inodes=2000"]],
] as const) {
  rootTest(
    `forget and prune free space on a tmpfs without a free ${lack}`,
    seeded(async (random) => {
      const folder = await tempFolder();
      await withMount(join(folder, "small"), ["-t", "tmpfs", ...options, "tmpfs"], (small) =>
        forgetOnFull(folder, small, random),
      );
    }),
  );
}

rootTest(
  "without a reserve, forget and prune name a remedy, and work after it",
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 3 * MIB, random);
    await withMount(join(folder, "small"), ["-t", "tmpfs", "-o", "size=48m", "tmpfs"], async (small) => {
      const repo = await newRepository(small);
      const { point } = await backUp(repo, image);
      await rm(join(repo, "reserve"), { recursive: true });
      await fill(small);
      const before = await filesBelow(repo);
      for (const command of [
        ["forget", point],
        ["prune", ...PRUNE_NOW],
      ]) {
        const error = await agentFails(1, ...command, "--repo", repo);
        assert.equal(error.code, "StorageFull");
        assert.match(error.remedy, /24 MiB and 24 inodes are enough/);
      }
      assert.deepEqual((await filesBelow(repo)).sort(), before.sort());
      await truncate(join(small, "ballast", "blocks"), 24 * MIB);
      await agentJson("forget", point, "--repo", repo);
      await agentJson("prune", "--repo", repo, "--allow-no-points", ...PRUNE_NOW);
      assert.deepEqual(await filesBelow(join(repo, "packs")), []);
    });
  }),
);

for (const { name, tool, sizeBytes, use } of [
  { name: "XFS", tool: "mkfs.xfs", sizeBytes: 300 * MIB, use: withXfs },
  { name: "btrfs", tool: "mkfs.btrfs", sizeBytes: 160 * MIB, use: withBtrfs },
] as const) {
  rootTest(
    `forget and prune free space on a full ${name}`,
    { skip: fullDepthOnly.skip || needing(tool).skip },
    seeded(async (random) => {
      const folder = await tempFolder();
      await use(join(folder, "disk"), sizeBytes, join(folder, "small"), (small) =>
        forgetOnFull(folder, small, random),
      );
    }),
  );
}

for (const [lack, makeOptions] of [
  ["blocks", []],
  ["inodes", ["-N", "256"]],
] as const) {
  rootTest(
    `on an ext4 without free ${lack} every command fails with StorageFull or frees space, and works once there is room`,
    fullDepthOnly,
    seeded(async (random) => {
      const folder = await tempFolder();
      const image = (name: string) => join(folder, `${name}.img`);
      for (const name of ["first", "second", "third"]) await writeRandomFile(image(name), 9 * MIB, random);
      const other = join(folder, "other");
      await withExt4(
        join(folder, "disk"),
        64 * MIB,
        join(folder, "small"),
        async (small) => {
          const repo = join(small, "repo");
          await initEncrypted(repo);
          await initEncrypted(other);
          await backUp(other, image("third"));
          const { point } = await backUp(repo, `${image("first")}=disk`);
          const kept = await backUp(repo, `${image("second")}=disk`);
          await fill(small);

          const newPassphrase = join(folder, "passphrase");
          await writeFile(newPassphrase, "another passphrase");
          const writing = [
            ["backup", "--repo", repo, "--device", image("third")],
            ["copy", "--from", other, "--to", repo],
            ["key", "add", "--repo", repo, "--with", "passphrase", "--new-passphrase-file", newPassphrase],
            ["repair", "index", "--repo", repo],
            ["init", "--encrypt", "passphrase", "--repo", join(small, "new")],
          ];
          const before = await filesBelow(repo);
          for (const command of writing) {
            process.env.BLOCKFERRY_FROM_PASSPHRASE = process.env.BLOCKFERRY_PASSPHRASE;
            const error = await agentFails(1, ...command);
            assert.equal(error.code, "StorageFull", `${command.join(" ")}: ${error.message}`);
            assert.match(error.remedy, /prune --grace-period 0s/);
            assert.deepEqual((await filesBelow(repo)).sort(), before.sort(), command.join(" "));
            assert.deepEqual(await filesBelow(join(small, "new")), [], command.join(" "));
          }
          await assertRestores(repo, point, image("first"), join(folder, "restored.img"));

          await freesSpace(repo, small, [point]);
          assert.deepEqual(await pointIds(repo), [kept.point]);
          await rm(join(small, "ballast"), { recursive: true });
          for (const command of writing) await agentJson(...command);
          assert.deepEqual(await tempFiles(repo), []);
          await assertWhole(repo);
          await assertRestores(repo, kept.point, image("second"), join(folder, "again.img"));
        },
        [...makeOptions],
      );
    }),
  );
}

rootTest(
  "prune on a full disk removes unneeded packs, and rewrites wasteful ones once there is room",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const [wasteful, unneeded] = [join(folder, "wasteful.img"), join(folder, "unneeded.img")];
    await writeRandomFile(wasteful, 16 * MIB, random);
    await writeRandomFile(unneeded, 16 * MIB, random);
    await withExt4(join(folder, "disk"), 96 * MIB, join(folder, "small"), async (small) => {
      const repo = await newRepository(small);
      const first = await backUp(repo, `${wasteful}=disk`);
      const second = await backUp(repo, `${unneeded}=disk`);
      const part = join(folder, "part.img");
      await writeFile(part, (await readStart(wasteful, 4 * MIB)) as Buffer);
      const third = await backUp(repo, `${part}=disk`);
      await fill(small);
      const pruned = await freesSpace(repo, small, [first.point, second.point]);
      assert.deepEqual(pruned.rewritten, { packs: 0, bytes: 0 });
      const again = await agentJson<PruneOutput>("prune", "--repo", repo, ...PRUNE_NOW);
      assert.ok(again.rewritten.packs > 0);
      await assertWhole(repo);
      await assertRestores(repo, third.point, part, join(folder, "restored.img"));
    });
  }),
);

/** Backs up two images to a file system, fills it, and forgets the first. */
async function forgetOnFull(folder: string, mounted: string, random: SeededRandom): Promise<void> {
  const [old, young] = [join(folder, "old.img"), join(folder, "young.img")];
  for (const image of [old, young]) await writeRandomFile(image, 6 * MIB, random);
  const repo = await newRepository(mounted);
  const { point } = await backUp(repo, `${old}=disk`);
  const kept = await backUp(repo, `${young}=disk`);
  await fill(mounted);
  await freesSpace(repo, mounted, [point]);
  assert.deepEqual(await pointIds(repo), [kept.point]);
  await assertRestores(repo, kept.point, young, join(folder, "restored.img"));
}

/** Forgets points and prunes on a full disk. Checks that this frees bytes, and completes the reserve again. */
async function freesSpace(repo: string, mounted: string, points: string[]): Promise<PruneOutput> {
  const reserved = await filesBelow(join(repo, "reserve"));
  assert.equal(reserved.length, 24);
  const packBytes = await bytesBelow(join(repo, "packs"));
  const free = (await statfs(mounted)).bfree;
  await agentJson("forget", ...points, "--repo", repo);
  const pruned = await agentJson<PruneOutput>("prune", "--repo", repo, ...PRUNE_NOW);
  assert.ok(pruned.removed.bytes > 0);
  assert.equal(await bytesBelow(join(repo, "packs")), packBytes - pruned.removed.bytes);
  assert.ok((await statfs(mounted)).bfree > free);
  assert.deepEqual((await filesBelow(join(repo, "reserve"))).sort(), reserved.sort());
  assert.deepEqual(await tempFiles(repo), []);
  await assertWhole(repo);
  return pruned;
}

async function readStart(path: string, bytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    return (await file.read(Buffer.alloc(bytes), 0, bytes, 0)).buffer;
  } finally {
    await file.close();
  }
}

/** Takes all blocks of a file system, and then all inodes. */
async function fill(mounted: string): Promise<void> {
  const ballast = join(mounted, "ballast");
  await mkdir(ballast);
  const file = await open(join(ballast, "blocks"), "w");
  try {
    for (const bytes of [MIB, 4096, 1]) await untilFull(() => file.write(Buffer.alloc(bytes, 1)));
    await file.sync();
  } finally {
    await file.close();
  }
  let files = 0;
  await untilFull(() => writeFile(join(ballast, String(files++)), "x"));
}

/** Repeats a write until the file system is full. */
async function untilFull(write: () => Promise<unknown>): Promise<void> {
  for (let writes = 0; writes < 100_000; writes++) {
    try {
      await write();
    } catch (error) {
      if (systemErrorCode(error) === "ENOSPC") return;
      throw error;
    }
  }
  assert.fail("the file system is not full");
}
