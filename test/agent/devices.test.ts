import assert from "node:assert/strict";
import { constants } from "node:fs";
import { mkdir, open, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { agent, startAgent } from "../support/agent.js";
import { assertSameArea, readArea } from "../support/areas.js";
import { fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { withLoopDevice } from "../support/loop-device.js";
import { withMount } from "../support/mounts.js";
import type { SeededRandom } from "../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertWhole,
  backUp,
  failure,
  filesBelow,
  newRepository,
  pointIds,
  restoreTo,
  tempFiles,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { assertSameContent, sha256File } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;

rootTest(
  "an ext4 file system goes from one loop device to another that held garbage: zeros are really written",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "ext4.img");
    const sizeBytes = 64 * MIB;
    await makeExt4(image, sizeBytes, folder, random);
    const target = join(folder, "target.img");
    await writeRandomFile(target, sizeBytes, random);
    await withLoopDevice(image, { sectorBytes: 512 }, async (source) => {
      const { volumes, stats } = await backUp(repo, `${source}=root`);
      assert.equal(volumes[0]?.sizeBytes, sizeBytes);
      assert.ok(stats.zeroBytes > 20 * MIB, "most of the file system is empty");
      await withLoopDevice(target, { sectorBytes: 512 }, async (device) => {
        await restoreTo(repo, "latest", device);
        await assertSameContent(device, source);
      });
    });
    await assertSameContent(target, image);
    await runTool("e2fsck", "-f", "-n", target);
    await withMount(join(folder, "mnt"), ["-o", "loop,ro", target], async (mounted) => {
      await assertSameContent(join(mounted, "big.bin"), join(folder, "content", "big.bin"));
    });
  }),
);

rootTest(
  "a larger device is accepted, and its data behind the volume stay; a smaller one is refused untouched",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeMixedImage(image, 12 * MIB + 512 * 3, random);
    await backUp(repo, image);
    const larger = join(folder, "larger.img");
    await writeRandomFile(larger, 20 * MIB, random);
    const rest = { offset: 12 * MIB + 512 * 3, length: 8 * MIB - 512 * 3 };
    const before = await readArea(larger, rest);
    await withLoopDevice(larger, { sectorBytes: 512 }, (device) => restoreTo(repo, "latest", device));
    await assertSameArea(larger, image, { offset: 0, length: rest.offset });
    assert.ok((await readArea(larger, rest)).equals(before), "bytes behind the volume are not touched");

    const smaller = join(folder, "smaller.img");
    await writeRandomFile(smaller, 12 * MIB + 512 * 2, random);
    const digest = await sha256File(smaller);
    await withLoopDevice(smaller, { sectorBytes: 512 }, async (device) => {
      const error = await agentFails(1, ...restoreArgs(repo, device), "--force");
      assert.equal(error.code, "TargetTooSmall");
      assert.equal(error.object, device);
      assert.match(error.message, new RegExp(`${12 * MIB + 1024}.*${12 * MIB + 1536}`));
    });
    assert.equal(await sha256File(smaller), digest);
  }),
);

rootTest(
  "a device that is mounted, or has a mounted partition, is refused untouched, even with --force",
  fullDepthOnly,
  async () => {
    const folder = await tempFolder();
    const repo = await smallRepository(folder);
    const image = join(folder, "ext4.img");
    await truncate(await emptyFile(image), 8 * MIB);
    await runTool("mke2fs", "-q", "-F", "-t", "ext4", image);
    const mountPoint = join(folder, "mnt");
    await withLoopDevice(image, { sectorBytes: 512 }, (device) =>
      withMount(mountPoint, [device], async () => {
        const error = await agentFails(1, ...restoreArgs(repo, device), "--force");
        assert.equal(error.code, "TargetInUse");
        assert.ok(error.message.includes(mountPoint), error.message);
        await writeFile(join(mountPoint, "still"), "here");
        const backup = await backUp(repo, device);
        assert.equal(backup.stats.sourceBytes, 8 * MIB, "reading a mounted device is allowed");
      }),
    );
    await runTool("e2fsck", "-f", "-n", image);

    const disk = join(folder, "disk.img");
    await truncate(await emptyFile(disk), MIB);
    await runTool("dd", `if=${image}`, `of=${disk}`, "bs=1M", "seek=1", "status=none");
    const place = { start: 2048, sectors: (8 * MIB) / 512 };
    await withPartition(disk, place, (device, partition) =>
      withMount(mountPoint, [partition], async () => {
        for (const target of [device, partition]) {
          const error = await agentFails(1, ...restoreArgs(repo, target), "--force");
          assert.equal(error.code, "TargetInUse", target);
          assert.ok(error.message.includes(mountPoint), error.message);
        }
        await writeFile(join(mountPoint, "yet"), "here");
      }),
    );
  },
);

rootTest("a device that is swap space, or that another program has claimed, is refused", async () => {
  const folder = await tempFolder();
  const repo = await smallRepository(folder);
  const image = join(folder, "swap.img");
  await truncate(await emptyFile(image), 8 * MIB);
  await runTool("mkswap", image);
  await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
    await runTool("swapon", device);
    try {
      const error = await agentFails(1, ...restoreArgs(repo, device), "--force");
      assert.equal(error.code, "TargetInUse");
      assert.match(error.message, /swap/);
    } finally {
      await runTool("swapoff", device);
    }
    const claim = await open(device, constants.O_RDWR | constants.O_EXCL);
    try {
      const error = await agentFails(1, ...restoreArgs(repo, device), "--force");
      assert.equal(error.code, "TargetInUse");
    } finally {
      await claim.close();
    }
    await restoreTo(repo, "latest", device, "--force");
  });
});

rootTest(
  "devices with 4,096-byte sectors, and sizes that are a multiple of neither 4 KiB nor 512 KiB, come back bit for bit",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const cases = [
      { sectorBytes: 4096, sizeBytes: 9 * MIB + 4096 * 5 },
      { sectorBytes: 512, sizeBytes: 9 * MIB + 512 },
      { sectorBytes: 512, sizeBytes: 512 * 7 },
      { sectorBytes: 4096, sizeBytes: 4096 },
    ];
    for (const [number, { sectorBytes, sizeBytes }] of cases.entries()) {
      const image = join(folder, `${number}.img`);
      await writeMixedImage(image, sizeBytes, random);
      const { point, volumes } = await withLoopDevice(image, { sectorBytes }, (device) =>
        backUp(repo, device),
      );
      assert.equal(volumes[0]?.sizeBytes, sizeBytes);
      for (const sectors of [512, 4096]) {
        const target = join(folder, `${number}-${sectors}.target`);
        const targetBytes = Math.ceil(sizeBytes / sectors) * sectors + sectors;
        await writeRandomFile(target, targetBytes, random);
        const tail = { offset: sizeBytes, length: targetBytes - sizeBytes };
        const behind = await readArea(target, tail);
        await withLoopDevice(target, { sectorBytes: sectors }, (device) => restoreTo(repo, point, device));
        assert.ok((await readArea(target, tail)).equals(behind), "bytes behind the volume are not touched");
        await truncate(target, sizeBytes);
        await assertSameContent(target, image);
      }
    }
  }),
);

rootTest(
  "a device that shrinks while it is read ends the backup at the byte where it ends now",
  fullDepthOnly,
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 400 * MIB, random);
    const endsAt = 390 * MIB + 512 * 3;
    await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
      const args = ["backup", "--repo", repo, "--device", device, "--threads=1", "--queue-depth=1", "--json"];
      const { result } = startAgent(args);
      await waitUntil("data in the repository", async () => (await tempFiles(repo)).length > 0);
      await truncate(image, endsAt);
      await runTool("losetup", "--set-capacity", device);
      const error = failure(1, await result);
      assert.equal(error.code, "SourceShrunk");
      assert.equal(error.object, device);
      assert.equal(error.offset, endsAt);
    });
    assert.deepEqual(await pointIds(repo), []);
    assert.deepEqual(await tempFiles(repo), []);
    await assertWhole(repo);
  }),
);

rootTest(
  "a restore that fails on a device says that the device is not to be used; the next one puts it right",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 8 * MIB, random);
    await backUp(repo, image);
    const damaged = join(folder, "damaged");
    await runTool("cp", "-a", repo, damaged);
    for (const pack of await filesBelow(join(damaged, "packs"))) {
      const { size } = await stat(pack);
      if (size > MIB) await overwriteAtRandom(pack, size - MIB, 4096, random);
    }
    const target = join(folder, "target.img");
    await writeRandomFile(target, 8 * MIB, random);
    await withLoopDevice(target, { sectorBytes: 512 }, async (device) => {
      const { code, stderr } = await agent(...restoreArgs(damaged, device));
      assert.equal(code, 3, stderr);
      assert.ok(stderr.includes(`${device} was not restored completely`), stderr);
      await restoreTo(repo, "latest", device);
      await assertSameContent(device, image);
    });
  }),
);

rootTest("an empty device, such as a loop device over an empty file, is backed up and restored", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = await emptyFile(join(folder, "empty.img"));
  const { volumes } = await withLoopDevice(image, { sectorBytes: 512 }, (device) => backUp(repo, device));
  assert.equal(volumes[0]?.sizeBytes, 0);
  const target = join(folder, "restored.img");
  await restoreTo(repo, "latest", target);
  assert.equal((await stat(target)).size, 0);
});

rootTest(
  "where O_DIRECT is not supported, reading goes through the page cache, and a note says so",
  needing("mksquashfs"),
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const content = join(folder, "content");
    await mkdir(content);
    await writeMixedImage(join(content, "disk.img"), 6 * MIB + 777, random);
    const squashed = join(folder, "content.squashfs");
    await runTool("mksquashfs", content, squashed, "-quiet", "-no-progress");
    await withMount(join(folder, "mnt"), ["-o", "loop,ro", squashed], async (mounted) => {
      const image = join(mounted, "disk.img");
      await assert.rejects(open(image, constants.O_RDONLY | constants.O_DIRECT), { code: "EINVAL" });
      const { code, stderr } = await agent("backup", "--repo", repo, "--device", image);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /note: .*disk\.img.*O_DIRECT is not supported/);
    });
    const target = join(folder, "restored.img");
    await restoreTo(repo, "latest", target);
    await assertSameContent(target, join(content, "disk.img"));
  }),
);

const restoreArgs = (repo: string, target: string) => [
  ...["restore", "--repo", repo, "--point", "latest", "--target", target],
];

/** Makes a repository with a point of one small volume. */
async function smallRepository(folder: string): Promise<string> {
  const repo = await newRepository(folder);
  const image = join(folder, "small.img");
  await writeFile(image, Buffer.alloc(MIB, "small"));
  await backUp(repo, image);
  return repo;
}

async function emptyFile(path: string): Promise<string> {
  await writeFile(path, "");
  return path;
}

/** Makes an ext4 image with real files, some of which were deleted again. */
async function makeExt4(
  image: string,
  sizeBytes: number,
  folder: string,
  random: SeededRandom,
): Promise<void> {
  const content = join(folder, "content");
  await mkdir(content);
  await writeRandomFile(join(content, "big.bin"), 5 * MIB + 17, random);
  for (let number = 0; number < 50; number++) {
    await writeFile(join(content, `${number}.txt`), `file ${number}\n`.repeat(random.below(5000)));
  }
  await truncate(await emptyFile(image), sizeBytes);
  await runTool("mke2fs", "-q", "-F", "-t", "ext4", "-d", content, image);
  await withMount(join(folder, "fill"), ["-o", "loop", image], async (mounted) => {
    for (let number = 0; number < 50; number += 3) await rm(join(mounted, `${number}.txt`));
  });
}

/**
 * Runs `use` with a loop device that has one partition, in sectors of 512 bytes. `addpart` registers the
 * partition, because the kernel may not know any kind of partition table. Its node is made if udev does not
 * make it.
 */
async function withPartition(
  disk: string,
  { start, sectors }: { start: number; sectors: number },
  use: (device: string, partition: string) => Promise<void>,
): Promise<void> {
  const device = await runTool("losetup", "--find", "--show", "--partscan", disk);
  try {
    await runTool("addpart", device, "1", String(start), String(sectors));
    const partition = `${device}p1`;
    const number = (await readFile(`/sys/class/block/${basename(partition)}/dev`, "utf8")).trim();
    const isThere = (await stat(partition).catch(() => undefined)) !== undefined;
    if (!isThere) await runTool("mknod", partition, "b", ...number.split(":"));
    try {
      await use(device, partition);
    } finally {
      await runTool("delpart", device, "1");
      if (!isThere) await rm(partition, { force: true });
    }
  } finally {
    await runTool("losetup", "--detach", device);
  }
}
