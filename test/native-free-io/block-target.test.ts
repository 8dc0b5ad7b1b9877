import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync, constants, writeSync } from "node:fs";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { BlockTarget, openBlockTarget, type TargetDescription } from "../../native-free-io/block-target.js";
import { withLoopDevice } from "../support/loop-device.js";
import { rootTest } from "../support/root-test.js";
import { tempFolder } from "../support/temp-folder.js";

const run = promisify(execFile);
const refuse = (sizeBytes: number) => ({ sizeBytes, existing: "refuse" as const });

/** Writes one aligned block and one odd tail, as a restore does. */
function writeInto(target: TargetDescription, sizeBytes: number): Buffer {
  const content = Buffer.alloc(sizeBytes);
  const block = allocateAligned(4096).fill(0xb1);
  block.copy(content);
  const direct = openBlockTarget(target, "direct");
  writeSync(direct, block, 0, 4096, 0);
  closeSync(direct);
  const buffered = openBlockTarget(target, "buffered");
  writeSync(buffered, Buffer.from("tail"), 0, 4, sizeBytes - 4);
  content.write("tail", sizeBytes - 4);
  closeSync(buffered);
  return content;
}

test("a file grows under a name of its own and appears, sparse and whole, when it is committed", async () => {
  const folder = await tempFolder();
  const path = join(folder, "disk.img");
  const sizeBytes = 8 * 2 ** 20 + 777;
  const target = await BlockTarget.prepare(path, refuse(sizeBytes));
  assert.equal(target.description.kind, "file");
  const [partial, ...others] = await readdir(folder);
  assert.deepEqual(others, []);
  assert.match(partial ?? "", /^disk\.img\..*partial/);
  assert.equal(target.description.writePath, join(folder, partial ?? ""));
  const content = writeInto(target.description, sizeBytes);
  await target.commit();
  assert.deepEqual(await readdir(folder), ["disk.img"]);
  assert.ok((await readFile(path)).equals(content));
  assert.ok((await stat(path)).blocks * 512 < 2 ** 20, "what was not written is a hole");
});

test("a discarded file leaves nothing behind, and an old file unchanged", async () => {
  const folder = await tempFolder();
  const path = join(folder, "disk.img");
  const target = await BlockTarget.prepare(path, refuse(10_000));
  writeInto(target.description, 10_000);
  await target.discard();
  assert.deepEqual(await readdir(folder), []);

  await writeFile(path, "precious");
  const second = await BlockTarget.prepare(path, { sizeBytes: 10_000, existing: "replace" });
  writeInto(second.description, 10_000);
  assert.equal(await readFile(path, "utf8"), "precious");
  await second.discard();
  assert.deepEqual(await readdir(folder), ["disk.img"]);
  assert.equal(await readFile(path, "utf8"), "precious");
});

test("a file that holds data is refused and not touched; an empty one is taken", async () => {
  const folder = await tempFolder();
  const path = join(folder, "disk.img");
  await writeFile(path, "precious");
  await assert.rejects(BlockTarget.prepare(path, refuse(4096)), { code: "TargetNotEmpty", object: path });
  assert.deepEqual(await readdir(folder), ["disk.img"]);
  assert.equal(await readFile(path, "utf8"), "precious");
  await truncate(path, 0);
  const target = await BlockTarget.prepare(path, refuse(8192));
  const content = writeInto(target.description, 8192);
  await target.commit();
  assert.ok((await readFile(path)).equals(content));
});

test("a new file is for its owner alone, whatever the umask", async () => {
  const umask = process.umask(0);
  try {
    const path = join(await tempFolder(), "disk.img");
    const target = await BlockTarget.prepare(path, refuse(5000));
    await target.commit();
    assert.equal((await stat(path)).mode & 0o7777, 0o600);
  } finally {
    process.umask(umask);
  }
});

test("a file is made where a link leads to that has nothing behind it yet, and the link stays a link", async () => {
  const folder = await tempFolder();
  await symlink("disk.img", join(folder, "link.img"));
  const target = await BlockTarget.prepare(join(folder, "link.img"), refuse(5000));
  await target.commit();
  assert.equal((await stat(join(folder, "disk.img"))).size, 5000);
  assert.ok((await lstat(join(folder, "link.img"))).isSymbolicLink());
});

test("a file that is replaced keeps its mode, and a link to it stays a link", async () => {
  const folder = await tempFolder();
  const path = join(folder, "disk.img");
  await writeFile(path, "old data, longer than the new volume");
  await chmod(path, 0o640);
  await symlink("disk.img", join(folder, "link.img"));
  const target = await BlockTarget.prepare(join(folder, "link.img"), {
    sizeBytes: 5000,
    existing: "replace",
  });
  const content = writeInto(target.description, 5000);
  await target.commit();
  assert.deepEqual((await readdir(folder)).sort(), ["disk.img", "link.img"]);
  assert.ok((await readFile(path)).equals(content));
  assert.equal((await stat(path)).mode & 0o7777, 0o640);
});

rootTest("a file that is replaced keeps its owner", async () => {
  const path = join(await tempFolder(), "disk.img");
  await writeFile(path, "old");
  await chown(path, 12_345, 23_456);
  const target = await BlockTarget.prepare(path, { sizeBytes: 5000, existing: "replace" });
  await target.commit();
  const { uid, gid } = await stat(path);
  assert.deepEqual({ uid, gid }, { uid: 12_345, gid: 23_456 });
});

rootTest(
  "an empty file that another user put there does not make them the owner, unless it is asked for",
  async () => {
    const path = join(await tempFolder(), "disk.img");
    for (const [existing, expected] of [
      ["refuse", { uid: 0, mode: 0o600 }],
      ["replace", { uid: 12_345, mode: 0o666 }],
    ] as const) {
      await writeFile(path, "");
      await chmod(path, 0o666);
      await chown(path, 12_345, 23_456);
      await (await BlockTarget.prepare(path, { sizeBytes: 5000, existing })).commit();
      const { uid, mode } = await stat(path);
      assert.deepEqual({ uid, mode: mode & 0o7777 }, expected);
      await rm(path);
    }
  },
);

test("a link that is put in the place of the partial file is not written through, and the restore fails", async () => {
  const folder = await tempFolder();
  const [path, victim, moved] = ["disk.img", "victim", "moved"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(victim, "precious");
  const target = await BlockTarget.prepare(path, refuse(10_000));
  await rename(target.description.writePath, moved);
  await symlink(victim, target.description.writePath);
  writeInto(target.description, 10_000);
  await assert.rejects(target.commit(), {
    code: "TargetNotUsable",
    message: /something else took the place/,
  });
  assert.equal(await readFile(victim, "utf8"), "precious");
  assert.equal((await stat(moved)).size, 0, "nothing of the volume is left elsewhere");
  await assert.rejects(stat(path), { code: "ENOENT" });
});

test("a folder that is swapped for a link is not followed: the file appears where the folder is by then", async () => {
  const folder = await tempFolder();
  const [way, moved, other] = ["way", "moved", "other"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(way);
  await mkdir(other);
  const target = await BlockTarget.prepare(join(way, "disk.img"), refuse(10_000));
  await rename(way, moved);
  await symlink(other, way);
  const content = writeInto(target.description, 10_000);
  await target.commit();
  assert.deepEqual(await readdir(other), []);
  assert.ok((await readFile(join(moved, "disk.img"))).equals(content));
});

test("an empty volume becomes an empty file", async () => {
  const path = join(await tempFolder(), "empty.img");
  await (await BlockTarget.prepare(path, refuse(0))).commit();
  assert.equal((await stat(path)).size, 0);
});

test("data that a killed restore left under the partial name do not get into the next one", async () => {
  const path = join(await tempFolder(), "disk.img");
  const killed = await BlockTarget.prepare(path, refuse(20_000));
  const leftover = killed.description.writePath;
  await killed.discard();
  await writeFile(leftover, Buffer.alloc(30_000, 0xff));
  const target = await BlockTarget.prepare(path, refuse(20_000));
  const content = writeInto(target.description, 20_000);
  await target.commit();
  assert.ok((await readFile(path)).equals(content));
});

test("a folder, a character device and a path that cannot be made are refused", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "folder"));
  await writeFile(join(folder, "file"), "");
  const paths = [
    join(folder, "folder"),
    "/dev/null",
    join(folder, "missing", "x"),
    join(folder, "file", "x"),
  ];
  for (const path of paths) {
    await assert.rejects(BlockTarget.prepare(path, refuse(1)), { code: "TargetNotUsable", object: path });
  }
  assert.deepEqual((await readdir(folder)).sort(), ["file", "folder"]);
});

/** Runs `use` with a loop device over an image of `sizeBytes` bytes of 0xee. */
async function withDevice(
  sizeBytes: number,
  use: (device: string, image: string) => Promise<void>,
): Promise<void> {
  const image = join(await tempFolder(), "device.img");
  await writeFile(image, Buffer.alloc(sizeBytes, 0xee));
  await withLoopDevice(image, { sectorBytes: 512 }, (device) => use(device, image));
}

rootTest("a device is written in place, claimed meanwhile, and free again afterwards", async () => {
  await withDevice(2 ** 20, async (device) => {
    const target = await BlockTarget.prepare(device, refuse(2 ** 20));
    const { fd, ...description } = target.description;
    assert.deepEqual(description, { kind: "block-device", writePath: device, direct: true });
    assert.equal(await readlink(`/proc/self/fd/${fd}`), device);
    await assert.rejects(BlockTarget.prepare(device, refuse(2 ** 20)), {
      code: "TargetInUse",
      object: device,
    });
    writeInto(target.description, 2 ** 20);
    await target.commit();
    const bytes = await readFile(device);
    assert.ok(bytes.subarray(0, 4096).equals(Buffer.alloc(4096, 0xb1)));
    assert.equal(bytes.toString("latin1", 2 ** 20 - 4), "tail");
    await (await BlockTarget.prepare(device, refuse(1))).discard();
  });
});

rootTest("a device smaller than the volume is refused and not touched", async () => {
  await withDevice(2 ** 20, async (device) => {
    await assert.rejects(BlockTarget.prepare(device, refuse(2 ** 20 + 1)), {
      code: "TargetTooSmall",
      object: device,
    });
    assert.ok((await readFile(device)).equals(Buffer.alloc(2 ** 20, 0xee)));
  });
});

rootTest("a device that another program holds with O_EXCL is refused", async () => {
  await withDevice(2 ** 20, async (device) => {
    const holder = await open(device, constants.O_RDWR | constants.O_EXCL);
    try {
      await assert.rejects(BlockTarget.prepare(device, refuse(4096)), {
        code: "TargetInUse",
        object: device,
      });
    } finally {
      await holder.close();
    }
  });
});

rootTest(
  "a mounted device is refused with the folder that it is mounted on, and taken once it is unmounted",
  async () => {
    await withDevice(8 * 2 ** 20, async (device) => {
      await run("mke2fs", ["-q", "-F", device]);
      const folder = await tempFolder();
      await run("mount", [device, folder]);
      try {
        await assert.rejects(BlockTarget.prepare(device, refuse(4096)), {
          code: "TargetInUse",
          object: device,
          message: new RegExp(`mounted on ${folder}`),
        });
      } finally {
        await run("umount", [folder]);
      }
      await assert.rejects(BlockTarget.prepare(device, refuse(4096)), { code: "TargetHasSignatures" });
      await (await BlockTarget.prepare(device, { sizeBytes: 4096, existing: "replace" })).discard();
    });
  },
);
