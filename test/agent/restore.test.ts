import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { agent, agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom, writeRandomFile, writeSparseFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  backUp,
  filesBelow,
  newRepository,
  restoreTo,
} from "../support/repositories.js";
import { runTool } from "../support/run-tool.js";
import { assertSameContent, sha256File } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;

test(
  "a restored file is sparse: holes stay holes, in chunks and between them, and zeros take no room",
  seeded(async (random) => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const image = join(folder, "disk.img");
    const areas = [
      { offset: 0, length: MIB },
      { offset: 100 * MIB + 8192, length: 4096 },
      { offset: 200 * MIB + 4096 * 3, length: CHUNK_BYTES },
      { offset: 400 * MIB - 1000, length: 1000 },
    ];
    await writeSparseFile(image, 400 * MIB, areas, random);
    const target = join(folder, "restored.img");
    await backUp(repo, image);
    await restoreTo(repo, "latest", target);
    await assertSameContent(target, image);
    const allocated = async (path: string) => (await stat(path)).blocks * 512;
    assert.ok((await allocated(image)) < 3 * MIB, "the image itself is sparse");
    const taken = await allocated(target);
    assert.ok(taken <= (await allocated(image)) + 64 * 1024, `${taken} bytes are allocated`);

    const zeros = join(folder, "zeros.img");
    await writeFile(zeros, Buffer.alloc(20 * MIB + 5));
    await backUp(repo, zeros);
    await restoreTo(repo, "latest", join(folder, "zeros.restored"));
    await assertSameContent(join(folder, "zeros.restored"), zeros);
    assert.ok((await allocated(join(folder, "zeros.restored"))) < 64 * 1024);
  }),
);

describe("a restore", async () => {
  const random = SeededRandom.fresh();
  const folder = await tempFolder();
  const work = join(folder, "work");
  const first = join(folder, "first.img");
  const second = join(folder, "second.img");
  const data = join(folder, "data.img");
  let repo = "";
  const points: string[] = [];
  const restoreFails = (exit: number, ...args: string[]) =>
    agentFails(exit, "restore", "--repo", repo, ...args);
  const inWork = (name: string) => join(work, name);

  before(async () => {
    await mkdir(work);
    repo = await newRepository(folder);
    await writeMixedImage(first, 6 * MIB + 100, random);
    await writeRandomFile(second, 7 * MIB, random);
    await writeRandomFile(data, 5 * MIB + 1, random);
    for (const devices of [[first], [`${second}=root`, `${data}=data`]]) {
      points.push((await backUp(repo, devices)).point);
    }
  });
  after(() => rm(work, { recursive: true, force: true }));

  test("takes the point by its id, by the beginning of it, or as latest; and one volume of several", async () => {
    const [older, newer] = points as [string, string];
    await assertRestores(repo, older, first, inWork("by-id"));
    await assertRestores(repo, older.slice(0, -3), first, inWork("by-beginning"));
    await restoreTo(repo, "latest", `data=${inWork("one")}`);
    await assertSameContent(inWork("one"), data);
    await restoreTo(repo, newer, [`data=${inWork("both=data")}`, `root=${inWork("root")}`]);
    await assertSameContent(inWork("both=data"), data);
    await assertSameContent(inWork("root"), second);
  });

  test("names the restored point and volumes", async () => {
    const target = inWork("said.img");
    const output = await agentJson<{ point: string; seconds: number; volumes: Record<string, unknown>[] }>(
      ...["restore", "--repo", repo, "--point", "latest", "--target", `data=${target}`],
    );
    assert.equal(output.point, points[1]);
    assert.ok(output.seconds > 0);
    assert.deepEqual(
      output.volumes.map(({ name, sizeBytes, target: path }) => ({ name, sizeBytes, path })),
      [{ name: "data", sizeBytes: 5 * MIB + 1, path: target }],
    );
  });

  test(
    "refuses a file that holds data and leaves it alone; replaces it with --force; takes an empty one",
    fullDepthOnly,
    async () => {
      const target = inWork("taken.img");
      await writeFile(target, "precious");
      const args = ["--point", points[0] as string, "--target", target];
      const error = await restoreFails(1, ...args);
      assert.equal(error.code, "TargetNotEmpty");
      assert.match(error.remedy, /--force/);
      assert.equal(await readFile(target, "utf8"), "precious");
      await agentJson("restore", "--repo", repo, ...args, "--force");
      await assertSameContent(target, first);
      await truncate(target, 0);
      await agentJson("restore", "--repo", repo, ...args);
      await assertSameContent(target, first);
      await truncate(target, 60 * MIB);
      await agentJson("restore", "--repo", repo, ...args, "--force");
      await assertSameContent(target, first);
    },
  );

  test(
    "refuses targets that are neither a file nor a device, and leaves nothing",
    fullDepthOnly,
    async () => {
      const place = inWork("refusals");
      await mkdir(join(place, "folder"), { recursive: true });
      await runTool("mkfifo", join(place, "fifo"));
      const server = createServer().listen(join(place, "socket"));
      try {
        const before = (await readdir(place, { recursive: true })).sort();
        const targets = ["folder", "fifo", "socket", "missing/disk.img", "folder/"].map(
          (name) => `${place}/${name}`,
        );
        for (const target of [...targets, "/dev/null", "/proc/disk.img"]) {
          const error = await restoreFails(1, "--point", points[0] as string, "--target", target, "--force");
          assert.equal(error.code, "TargetNotUsable", target);
          assert.ok(error.message.includes(target), error.message);
        }
        assert.deepEqual((await readdir(place, { recursive: true })).sort(), before);
      } finally {
        server.close();
      }
    },
  );

  test("of several volumes leaves none of them when one target cannot be used", async () => {
    const place = inWork("several");
    await mkdir(place);
    await writeFile(join(place, "taken"), "precious");
    const error = await restoreFails(
      1,
      ...["--point", "latest", "--target", `root=${join(place, "root.img")}`],
      ...["--target", `data=${join(place, "taken")}`],
    );
    assert.equal(error.code, "TargetNotEmpty");
    assert.deepEqual(await readdir(place), ["taken"]);
  });

  test("refuses unclear targets as wrong usage: no name, an unknown name, a volume or a path twice", async () => {
    const place = inWork("usage");
    await mkdir(place);
    await mkdir(join(place, "folder"));
    await symlink(join(place, "folder"), join(place, "link"));
    const path = join(place, "a.img");
    const cases = [
      [path],
      [`nobody=${path}`],
      [`root=${path}`, `root=${place}/b.img`],
      [`root=${path}`, `data=${path}`],
      [`root=${path}`, `data=${place}/./a.img`],
      [`root=${place}/folder/a.img`, `data=${place}/link/a.img`],
    ];
    for (const targets of cases) {
      const error = await restoreFails(
        2,
        "--point",
        "latest",
        ...targets.map((target) => `--target=${target}`),
      );
      assert.equal(error.code, "Usage", targets.join(" "));
    }
    assert.deepEqual(await filesBelow(place), []);
  });

  test("that fails midway leaves no file, and the file that it would have replaced unchanged", async () => {
    const place = inWork("midway");
    await mkdir(place);
    const damaged = join(folder, "damaged");
    await runTool("cp", "-a", repo, damaged);
    for (const pack of await filesBelow(join(damaged, "packs"))) {
      const { size } = await stat(pack);
      if (size < 2 * MIB) continue;
      for (let at = CHUNK_BYTES; at < size - CHUNK_BYTES; at += CHUNK_BYTES) {
        await overwriteAtRandom(pack, at, 4096, random);
      }
    }
    const target = join(place, "disk.img");
    const args = ["restore", "--repo", damaged, "--point", "latest", "--target", `root=${target}`, "--json"];
    const fails = async (...more: string[]) => {
      const { code, stdout } = await agent(...args, ...more);
      assert.equal(code, 3, stdout);
      assert.match(stdout, /ChunkCorrupt/);
    };
    await fails();
    assert.deepEqual(await readdir(place), []);
    await writeFile(target, "precious");
    await fails("--force");
    assert.deepEqual(await readdir(place), ["disk.img"]);
    assert.equal(await readFile(target, "utf8"), "precious");
  });

  test("that lacks a pack fails before it touches anything", async () => {
    const place = inWork("missing");
    await mkdir(place);
    const damaged = join(folder, "missing");
    await runTool("cp", "-a", repo, damaged);
    for (const pack of await filesBelow(join(damaged, "packs"))) {
      if ((await stat(pack)).size > 5 * MIB) await rm(pack);
    }
    const result = await agent(
      ...["restore", "--repo", damaged, "--point", "latest", "--json", "--target", `root=${place}/disk.img`],
    );
    assert.equal(result.code, 3, result.stderr);
    assert.match(result.stdout, /ChunkMissing|PackMissing/);
    assert.deepEqual(await readdir(place), []);
  });

  test("beside another restore to the same file never leaves a mixture of both", async () => {
    const place = inWork("race");
    await mkdir(place);
    const target = join(place, "disk.img");
    const wanted = new Set([await sha256File(second), await sha256File(data)]);
    for (let round = 0; round < 4; round++) {
      await rm(target, { force: true });
      const results = await Promise.all(
        ["root", "data"].map((name) =>
          agent("restore", "--repo", repo, "--point", "latest", "--force", "--target", `${name}=${target}`),
        ),
      );
      const said = results.map(({ code, stderr }) => `exit ${code}: ${stderr}`).join("\n");
      assert.ok(
        results.every(({ code }) => code === 0 || code === 1),
        said,
      );
      if (results.some(({ code }) => code === 0)) assert.ok(wanted.has(await sha256File(target)), said);
      assert.deepEqual(
        (await readdir(place)).filter((name) => name !== "disk.img"),
        [],
        said,
      );
    }
  });
});
