import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { agent, agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { PASSPHRASE } from "../support/encryption.js";
import { writeMixedImage } from "../support/images.js";
import { type Oddity, withOddFileSystem } from "../support/odd-file-system.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  backUp,
  filesBelow,
  pointIds,
  restoreTo,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const MIB = 1024 * 1024;
const needed = needing("mfusepy", "fusermount3");
const WEAK = "--weak-durability";

/** Oddities that `init` refuses, and a part of its message. */
const REFUSED: [Oddity, RegExp][] = [
  ["nocase", /changes names/],
  ["nodirsync", /cannot make names durable \(fsync of a folder: EINVAL\)/],
  ["nofsync", /cannot make the contents of files durable \(fsync of a file: EINVAL\)/],
  ["nolink", /link/],
  ["norename", /rename cannot replace a file \(EPERM\)/],
  ["stale", /not listed/],
];

for (const [oddity, message] of REFUSED) {
  rootTest(
    `init refuses a file system with \`${oddity}\`, names the oddity, and leaves no file`,
    needed,
    async () => {
      await withOddFileSystem(await tempFolder(), [oddity], async (mounted) => {
        const error = await agentFails(1, "init", "--repo", join(mounted, "repo"));
        assert.equal(error.code, "StorageUnsuitable");
        assert.match(error.message, message);
        assert.match(error.remedy, /ext4/);
        assert.deepEqual(await filesBelow(mounted), []);
        process.env.BLOCKFERRY_PASSPHRASE = PASSPHRASE;
        const encrypted = ["init", "--encrypt", "passphrase", "--repo", join(mounted, "encrypted")];
        assert.equal((await agentFails(1, ...encrypted)).code, "StorageUnsuitable");
        delete process.env.BLOCKFERRY_PASSPHRASE;
        assert.deepEqual(await filesBelow(mounted), []);
      });
    },
  );
}

test("--weak-durability is refused for a repository in S3", async () => {
  const error = await agentFails(2, "init", "--repo", "s3://bucket/prefix", WEAK);
  assert.equal(error.code, "Usage");
  assert.match(error.message, /for repositories in a local directory, but s3:\/\/bucket\/prefix is in S3/);
});

rootTest("a failing disk is not accepted with --weak-durability", needed, async () => {
  await withOddFileSystem(await tempFolder(), ["badsync"], async (mounted) => {
    const error = await agentFails(1, "init", "--repo", join(mounted, "repo"), WEAK);
    assert.equal(error.code, "StorageFailed");
    assert.match(error.message, /EIO/);
  });
});

rootTest(
  "--weak-durability notes each missing sync once in a run, however many threads write",
  needed,
  async () => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await seeded((random) => writeMixedImage(image, 40 * MIB, random))();
    await withOddFileSystem(folder, ["nodirsync", "nofsync"], async (mounted) => {
      const repo = join(mounted, "repo");
      await agentJson("init", "--repo", repo, WEAK);
      const refused = await agentFails(1, "backup", "--repo", repo, "--device", image);
      assert.equal(refused.code, "StorageUnsuitable");
      assert.deepEqual(await pointIds(repo), []);
      const { code, stderr } = await agent("backup", "--repo", repo, "--device", image, "--threads=2", WEAK);
      assert.equal(code, 0, stderr);
      const notes = stderr.split("\n").filter((line) => line.startsWith("note: --weak-durability"));
      assert.equal(notes.length, 2, stderr);
      assert.equal(notes.filter((note) => note.includes("fsync of a folder: EINVAL")).length, 1, stderr);
      assert.equal(notes.filter((note) => note.includes("fsync of a file: EINVAL")).length, 1, stderr);
      await assertRestores(repo, "latest", image, join(folder, "restored.img"));
    });
  },
);

rootTest(
  "a used-up quota is StorageFull, and forget and prune free space by the reserve",
  { skip: fullDepthOnly.skip || needed.skip },
  seeded(async (random) => {
    const folder = await tempFolder();
    const images = [join(folder, "first.img"), join(folder, "second.img")] as const;
    for (const image of images) await writeRandomFile(image, 7 * MIB, random);
    await withOddFileSystem(folder, ["quota"], async (mounted) => {
      const repo = join(mounted, "repo");
      await agentJson("init", "--repo", repo);
      const { point } = await backUp(repo, `${images[0]}=disk`);
      const error = await agentFails(1, "backup", "--repo", repo, "--device", `${images[1]}=disk`);
      assert.equal(error.code, "StorageFull");
      assert.match(error.message, /: EDQUOT, /);
      assert.match(error.remedy, /quota/);
      await agentJson("forget", point, "--repo", repo);
      await agentJson("prune", "--repo", repo, "--allow-no-points", "--grace-period", "0s");
      assert.deepEqual(await filesBelow(join(repo, "packs")), []);
    });
  }),
);

const WORKING: Oddity[][] = [[], ["nochmod"], ["noblocks"], ["short"], ["nodirsync", "nofsync"]];

for (const oddities of WORKING) {
  const weak = oddities.includes("nofsync") ? [WEAK] : [];
  const kind = [...oddities, ...weak].join(", ") || "no oddity";
  rootTest(
    `a repository on a file system with ${kind} restores, verifies, forgets and prunes bit for bit`,
    { skip: fullDepthOnly.skip || needed.skip },
    seeded(async (random) => {
      const folder = await tempFolder();
      const images = [join(folder, "old.img"), join(folder, "new.img")] as const;
      for (const image of images) await writeMixedImage(image, 24 * MIB + 4096, random);
      await withOddFileSystem(folder, oddities, async (mounted) => {
        const repo = join(mounted, "repo");
        const on = ["--repo", repo, ...weak];
        await agentJson("init", ...on);
        for (const image of images) await backUp(repo, `${image}=disk`, ...weak);
        const [old = "", young = ""] = await pointIds(repo);
        await agentJson("verify", ...on, "--read-data");
        // To the same file system: the restored image has its oddities, too, except for syncs.
        const target = join(weak.length > 0 ? folder : mounted, "restored.img");
        await restoreTo(repo, old, target, ...weak);
        await assertSameContent(target, images[0]);
        await agentJson("forget", old, ...on);
        const { removed } = await agentJson<{ removed: { packs: number } }>(
          ...(["prune", ...on, "--grace-period", "0s"] as const),
        );
        assert.ok(removed.packs > 0);
        assert.deepEqual(await pointIds(repo), [young]);
        await agentJson("verify", ...on, "--read-data");
        await assertRestores(repo, young, images[1], join(folder, "young.img"));
        assert.deepEqual(await readdir(join(repo, "tmp")), []);
      });
    }),
  );
}
