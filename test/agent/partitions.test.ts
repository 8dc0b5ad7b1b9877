import assert from "node:assert/strict";
import { open, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AgentOutput } from "../../agent/cli/outputs.js";
import { AGENT, agent } from "../support/agent.js";
import { readArea } from "../support/areas.js";
import { byDepth } from "../support/depth.js";
import { withLoopDevice } from "../support/loop-device.js";
import { writeRandomFile } from "../support/random-files.js";
import { backUp, newRepository } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const MIB = 1024 * 1024;
const VOLUME_BYTES = 24 * MIB;

/** Tables for sfdisk; sizes in MiB, so that they are the same with all sectors. */
const TABLES = {
  gpt: "label: gpt\n,4M\n,6M\n,2M\n",
  mbr: "label: dos\n,4M\n,6M\n",
  "mbr with logical partitions": "label: dos\n,4M\n,10M,E\n,2M\n,3M\n",
} as const;

/** Table of the device before a restore: other partitions, and a third one that the restored disk lacks. */
const OLD_TABLE = "label: gpt\n,2M\n,3M\n,5M\n,6M\n";

type Restored = AgentOutput<"restore">;

/** Returns first byte and length of the partitions that the kernel shows, by their number. */
async function shownPartitions(device: string): Promise<Record<string, [number, number]>> {
  const folder = `/sys/block/${basename(device)}`;
  const shown: Record<string, [number, number]> = {};
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(device)}p`)) continue;
    const number = async (file: string) => Number(await readFile(join(folder, name, file), "utf8"));
    shown[await number("partition")] = [(await number("start")) * 512, (await number("size")) * 512];
  }
  return shown;
}

/** Returns first byte and length of the partitions in a table, except for an extended one, as sfdisk reads it. */
async function partitionsIn(path: string, sectorBytes = 512): Promise<Record<string, [number, number]>> {
  const { partitiontable } = JSON.parse(await runTool("sfdisk", "--json", path)) as {
    partitiontable: { partitions: { node: string; start: number; size: number; type: string }[] };
  };
  const plain = partitiontable.partitions.filter(({ type }) => type !== "5");
  return Object.fromEntries(
    plain.map(({ node, start, size }) => [/\d+$/.exec(node)?.[0], [start * sectorBytes, size * sectorBytes]]),
  );
}

async function writeTable(path: string, table: string): Promise<void> {
  await runTool("sh", "-c", `printf '${table}' | sfdisk --quiet --no-tell-kernel --no-reread "$0"`, path);
}

async function sparseFile(path: string, sizeBytes: number): Promise<string> {
  await writeFile(path, "");
  await truncate(path, sizeBytes);
  return path;
}

/** Backs up a disk with this table, made on a device with such sectors. @param fill writes data into the image */
async function backedUpDisk(
  table: string | undefined,
  { sectorBytes = 512, fill = async (_device: string) => undefined as unknown } = {},
): Promise<{ folder: string; repo: string; image: string }> {
  const folder = await tempFolder();
  const image = await sparseFile(join(folder, "disk.img"), VOLUME_BYTES);
  await withLoopDevice(image, { sectorBytes }, async (device) => {
    if (table !== undefined) await writeTable(device, table);
    await fill(device);
  });
  const repo = await newRepository(folder);
  await backUp(repo, `${image}=disk`);
  return { folder, repo, image };
}

/** Runs `use` with a device that has the old table, which the kernel shows. */
async function withOldDisk(
  folder: string,
  { sizeBytes = VOLUME_BYTES, sectorBytes = 512, partscan = false },
  use: (device: string, image: string) => Promise<void>,
): Promise<void> {
  const image = await sparseFile(
    join(folder, `target-${sectorBytes}-${sizeBytes}-${partscan}.img`),
    sizeBytes,
  );
  await withLoopDevice(image, { sectorBytes, partscan }, async (device) => {
    await writeTable(device, OLD_TABLE);
    await runTool("partx", "--update", device);
    assert.equal(Object.keys(await shownPartitions(device)).length, 4);
    try {
      await use(device, image);
    } finally {
      await runTool("partx", "--delete", device).catch(() => undefined);
    }
  });
}

async function restore(repo: string, device: string): Promise<{ notes: Restored["notes"]; stderr: string }> {
  const args = ["restore", "--repo", repo, "--point", "latest", "--target", device, "--force", "--json"];
  const { code, stdout, stderr } = await agent(...args);
  assert.equal(code, 0, stdout + stderr);
  return { notes: (JSON.parse(stdout) as Restored).notes, stderr };
}

const kinds = (notes: Restored["notes"]) => notes.map(({ kind }) => kind);

/** Runs the commands in a remedy. */
async function follow(remedy: string): Promise<string> {
  const commands = [...remedy.matchAll(/`([^`]+)`/g)].map(([, command = ""]) => command);
  assert.ok(commands.length > 0, remedy);
  return runTool("sh", "-ec", commands.join("\n"));
}

const needs = needing("sfdisk", "losetup");

const tables = Object.entries(TABLES).slice(0, byDepth({ quick: 1, full: 3 }));
for (const [name, table] of tables) {
  for (const partscan of [false, true]) {
    const scanned = partscan ? "which the kernel scans" : "which the kernel does not scan";
    rootTest(
      `the kernel shows the partitions of a restored ${name} on a disk ${scanned}`,
      needs,
      async () => {
        const { folder, repo, image } = await backedUpDisk(table);
        await withOldDisk(folder, { partscan }, async (device) => {
          const { notes, stderr } = await restore(repo, device);
          assert.deepEqual(notes, []);
          assert.doesNotMatch(stderr, /partition/);
          assert.deepEqual(await shownPlain(device, table), await partitionsIn(image));
          await assertSameContent(device, image);
        });
      },
    );
  }
}

/** Returns the shown partitions without an extended one. */
async function shownPlain(device: string, table: string): Promise<Record<string, [number, number]>> {
  const { 2: second, ...others } = await shownPartitions(device);
  return table.includes("E") || second === undefined ? others : { ...others, 2: second };
}

rootTest(
  "after the restore of a volume without partitions, the kernel shows none",
  needs,
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "plain.img");
    await writeRandomFile(image, VOLUME_BYTES, random);
    const repo = await newRepository(folder);
    await backUp(repo, `${image}=disk`);
    for (const partscan of [false, true]) {
      await withOldDisk(folder, { partscan }, async (device) => {
        assert.deepEqual((await restore(repo, device)).notes, []);
        assert.deepEqual(await shownPartitions(device), {});
      });
    }
  }),
);

rootTest(
  "a larger device keeps its bytes after the volume, and notes name the commands that repair its table",
  needing("sfdisk", "losetup", "sgdisk"),
  async () => {
    const { folder, repo, image } = await backedUpDisk(TABLES.gpt);
    await withOldDisk(folder, { sizeBytes: 2 * VOLUME_BYTES }, async (device, target) => {
      const after = await readArea(target, { offset: VOLUME_BYTES, length: VOLUME_BYTES });
      const { notes, stderr } = await restore(repo, device);
      assert.deepEqual(kinds(notes), ["gpt-backup-not-at-end", "old-data-after-volume"]);
      for (const { volume, target: path, message, remedy } of notes) {
        assert.deepEqual([volume, path], ["disk", device]);
        assert.ok(stderr.includes(`note: ${message} ${remedy}`), stderr);
        assert.match(remedy, /sgdisk -e/);
      }
      assert.deepEqual(await shownPartitions(device), await partitionsIn(image));
      assert.ok(after.equals(await readArea(target, { offset: VOLUME_BYTES, length: VOLUME_BYTES })));
      await follow(notes[0]?.remedy ?? "");
      assert.match(await runTool("sgdisk", "-v", device), /No problems found/);
      assert.deepEqual(await partitionsIn(device), await partitionsIn(image));
    });
  },
);

for (const name of ["mbr", "no table"] as const) {
  rootTest(
    `the old backup of a GPT after a volume with ${name} is reported, and the command of the note erases it`,
    needs,
    async () => {
      const { folder, repo } = await backedUpDisk(name === "mbr" ? TABLES.mbr : undefined);
      await withOldDisk(folder, { sizeBytes: 2 * VOLUME_BYTES }, async (device) => {
        const { notes } = await restore(repo, device);
        assert.deepEqual(kinds(notes), ["old-data-after-volume"]);
        assert.match(notes[0]?.message ?? "", new RegExp(`gpt .*at byte ${2 * VOLUME_BYTES - 512}`));
        await follow(notes[0]?.remedy ?? "");
        assert.deepEqual((await restore(repo, device)).notes, []);
      });
    },
  );
}

rootTest("a restore succeeds with a note while a program has an old partition open", needs, async () => {
  const { folder, repo, image } = await backedUpDisk(TABLES.gpt);
  await withOldDisk(folder, { partscan: true }, async (device) => {
    const node = join(folder, "partition");
    const number = await readFile(`/sys/block/${basename(device)}/${basename(device)}p4/dev`, "utf8");
    await runTool("mknod", node, "b", ...number.trim().split(":"));
    const user = await open(node);
    try {
      const { notes } = await restore(repo, device);
      assert.deepEqual(kinds(notes), ["partitions-not-read"]);
      assert.match(notes[0]?.message ?? "", /in use/);
      assert.ok(notes[0]?.remedy.includes(`blockdev --rereadpt ${device}`), notes[0]?.remedy);
      await assertSameContent(device, image);
    } finally {
      await user.close();
    }
    assert.deepEqual((await restore(repo, device)).notes, []);
  });
});

rootTest("a restore succeeds with a note if the kernel does not allow the re-read", needs, async () => {
  const { folder, repo, image } = await backedUpDisk(TABLES.mbr);
  await withOldDisk(folder, {}, async (device) => {
    const output = await runTool(
      ...["setpriv", "--bounding-set=-sys_admin", "--", process.execPath, AGENT, "restore"],
      ...["--repo", repo, "--point", "latest", "--target", device, "--force", "--json"],
    );
    const { notes } = JSON.parse(output) as Restored;
    assert.deepEqual(kinds(notes), ["partitions-not-read"]);
    assert.match(notes[0]?.message ?? "", /[Pp]ermission denied|not permitted/);
    await assertSameContent(device, image);
  });
});

/** Makes a file system in the first partition, which shows the sector size of an MBR. */
const fileSystem = (device: string) =>
  runTool("mke2fs", "-q", "-F", "-E", `offset=${MIB}`, device, `${(4 * MIB) / 1024}k`);

const sectorCases = [
  ["gpt", 512, 4096, undefined],
  ["gpt", 4096, 512, undefined],
  ["mbr", 512, 4096, undefined],
  ["mbr", 4096, 512, fileSystem],
] as const;
for (const [name, made, restored, fill] of sectorCases.slice(byDepth({ quick: 3, full: 0 }))) {
  rootTest(
    `a ${name} of sectors of ${made} bytes on a device with sectors of ${restored} is reported, with a way to read it`,
    needs,
    async () => {
      const { folder, repo, image } = await backedUpDisk(TABLES[name], {
        sectorBytes: made,
        ...(fill && { fill }),
      });
      await withOldDisk(folder, { sectorBytes: restored }, async (device) => {
        const { notes } = await restore(repo, device);
        assert.deepEqual(kinds(notes), ["sector-size-differs"]);
        await assertSameContent(device, image);
        const [, command = ""] = /`(losetup [^`]+)`/.exec(notes[0]?.remedy ?? "") ?? [];
        const reader = (await runTool("sh", "-c", command)).trim();
        try {
          const partitions = await partitionsIn(reader, made);
          assert.deepEqual(partitions[1], [MIB, 4 * MIB]);
        } finally {
          await runTool("losetup", "--detach", reader);
        }
      });
      await withOldDisk(folder, { sectorBytes: made }, async (device) => {
        assert.deepEqual((await restore(repo, device)).notes, []);
        assert.deepEqual(await shownPartitions(device), await partitionsIn(device, made));
      });
    },
  );
}
