import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { agentJson } from "../../support/agent.js";
import { assertSameArea } from "../../support/areas.js";
import { writeMixedImage } from "../../support/images.js";
import { withExt4, withMount } from "../../support/mounts.js";
import { withNbdFile } from "../../support/nbd-file.js";
import { startNbd } from "../../support/nbd-server.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile, writeSparseFile } from "../../support/random-files.js";
import { agentFails, backUp, filesBelow, newRepository } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;

interface NbdInfo {
  exports: {
    "export-size": number;
    is_read_only: boolean;
    can_multi_conn: boolean;
    block_minimum: number;
    block_maximum: number;
    contexts: string[];
  }[];
}

describe("third-party clients", async () => {
  const random = SeededRandom.fresh();
  const folder = await tempFolder();
  const socket = join(folder, "nbd.sock");
  const mixed = join(folder, "mixed.img");
  const sparse = join(folder, "sparse.img");
  let repo = "";
  before(async () => {
    repo = await newRepository(folder);
    await writeMixedImage(mixed, 40 * MIB + 100, random);
    const areas = [
      { offset: 0, length: MIB },
      { offset: 2 ** 33 + 512 * 1024, length: 3 * MIB },
    ];
    await writeSparseFile(sparse, 6 * 2 ** 30 + 2 ** 32, areas, random);
    await backUp(repo, [`${mixed}=mixed`, `${sparse}=sparse`]);
  });
  const start = (volume: string, ...args: string[]) =>
    startNbd("--repo", repo, "--point", "latest", "--volume", volume, ...args);

  test(
    "nbdinfo shows the volume, nbdcopy and qemu-img copy the image bit for bit, and the socket is removed at the end",
    needing("nbdinfo", "nbdcopy", "qemu-img"),
    async () => {
      const nbd = await start("mixed", "--listen", `unix:${socket}`);
      assert.equal((await stat(socket)).mode & 0o777, 0o600);
      const [info] = (JSON.parse(await runTool("nbdinfo", "--json", nbd.listening)) as NbdInfo).exports;
      assert.equal(info?.["export-size"], 40 * MIB + 100);
      assert.ok(info.is_read_only && info.can_multi_conn);
      assert.deepEqual(info.contexts, ["base:allocation"]);
      assert.match(await runTool("nbdinfo", "--list", nbd.listening), /export="mixed"/);

      const copied = join(folder, "copied.img");
      await runTool("nbdcopy", nbd.listening, copied);
      await assertSameContent(copied, mixed);

      const converted = join(folder, "converted.qcow2");
      await runTool("qemu-img", "convert", "-O", "qcow2", nbd.listening, converted);
      await runTool("qemu-img", "check", converted);
      const again = join(folder, "again.img");
      await runTool("qemu-img", "convert", "-O", "raw", converted, again);
      // qemu-img counts in sectors and pads the last one.
      await runTool("truncate", `--size=${40 * MIB + 100}`, again);
      await assertSameContent(again, mixed);

      await nbd.stop();
      await assert.rejects(stat(socket), { code: "ENOENT" });
    },
  );

  test(
    "over TCP, holes cost nothing: 10 GiB with 4 MiB of data are copied at once",
    needing("nbdinfo", "nbdcopy"),
    async () => {
      const nbd = await start("sparse", "--listen", "127.0.0.1:0");
      assert.match(nbd.listening, /^nbd:\/\/127\.0\.0\.1:\d+$/);
      const map = JSON.parse(await runTool("nbdinfo", "--map", "--json", nbd.listening)) as {
        offset: number;
        length: number;
        type: number;
      }[];
      const data = map.filter(({ type }) => type === 0);
      assert.deepEqual(
        data.map(({ offset, length }) => ({ offset, length })),
        [
          { offset: 0, length: MIB },
          { offset: 2 ** 33 + 512 * 1024, length: 3 * MIB },
        ],
      );
      assert.equal(
        map.reduce((sum, { length }) => sum + length, 0),
        10 * 2 ** 30,
      );
      const copied = join(folder, "sparse-copied.img");
      await runTool("nbdcopy", nbd.listening, copied);
      for (const area of data) await assertSameArea(copied, sparse, area);
      assert.ok((await stat(copied)).blocks * 512 < 8 * MIB);
      await nbd.stop();
    },
  );

  rootTest(
    "a file is read out of a file system in the backup, without a restore",
    needing("nbdfuse"),
    async () => {
      const image = join(folder, "ext4.img");
      const content = random.bytes(3 * MIB);
      await withExt4(image, 64 * MIB, join(folder, "made"), async (mounted) => {
        await mkdir(join(mounted, "etc"));
        await writeFile(join(mounted, "etc", "precious"), content);
      });
      const other = await newRepository(folder, "ext4-repo");
      await backUp(other, image);
      const nbd = await startNbd("--repo", other, "--point", "latest", "--listen", `unix:${socket}`);
      await withNbdFile(join(folder, "disk.img"), [nbd.listening], (disk) =>
        withMount(join(folder, "mounted"), ["-o", "ro,noload,loop", disk], async (mounted) => {
          assert.ok((await readFile(join(mounted, "etc", "precious"))).equals(content));
        }),
      );
      await nbd.stop();
    },
  );

  test("prune removes nothing under a server, and all of it afterwards", needing("nbdcopy"), async () => {
    const pruned = await newRepository(folder, "pruned");
    const image = join(folder, "forgotten.img");
    await writeRandomFile(image, 4 * MIB, random);
    const { point } = await backUp(pruned, image);
    const nbd = await startNbd("--repo", pruned, "--point", point, "--listen", `unix:${socket}`);
    await agentJson("forget", "--repo", pruned, point);
    const prune = () => agentJson("prune", "--repo", pruned, "--grace-period", "0s", "--allow-no-points");
    await prune();
    const copied = join(folder, "forgotten-copied.img");
    await runTool("nbdcopy", nbd.listening, copied);
    await assertSameContent(copied, image);
    await nbd.stop();
    assert.deepEqual(await filesBelow(join(pruned, "locks")), []);
    await prune();
    assert.deepEqual(await filesBelow(join(pruned, "packs")), []);
  });

  test("a server refuses a missing or unknown volume, other machines, and names that are taken", async () => {
    const refused = (exit: number, ...args: string[]) =>
      agentFails(exit, "nbd", "--repo", repo, "--point", "latest", ...args);
    const listen = `--listen=unix:${socket}`;
    assert.match((await refused(2, listen)).message, /mixed, sparse/);
    assert.match((await refused(2, listen, "--volume=none")).message, /no volume none/);
    assert.match((await refused(2, "--listen=0.0.0.0:10809", "--volume=mixed")).message, /other machines/);
    await writeFile(socket, "precious");
    assert.equal((await refused(1, listen, "--volume=mixed")).code, "ListenFailed");
    assert.equal(await readFile(socket, "utf8"), "precious");
  });
});
