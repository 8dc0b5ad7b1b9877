import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { borgOnDevice, warm } from "../../../bench/ec2/device-tools.js";
import type { DeviceFigures } from "../../../bench/ec2/figures.js";
import { attainable } from "../../../bench/ec2/roofline.js";
import { folderPlace } from "../../../bench/place.js";
import { figuresOf } from "../../../report/page.js";
import { assertSoundReport, chartNamed } from "../../support/charts.js";
import { Chromium } from "../../support/chromium.js";
import { fullDepthOnly } from "../../support/depth.js";
import { writeMixedImage } from "../../support/images.js";
import { withLoopDevice } from "../../support/loop-device.js";
import { rootTest } from "../../support/root-test.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { assertSameContent, sha256File } from "../../support/same-content.js";
import { seeded } from "../../support/seeded.js";
import { startProgram } from "../../support/start-program.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const MAIN = fileURLToPath(new URL("../../../bench/ec2/main.js", import.meta.url));
const SECTOR = { sectorBytes: 512 };

describe("the benchmark of a device", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");

  rootTest(
    "measures device, backups, restores and another tool against S3, writes a valid report, and leaves nothing else",
    fullDepthOnly,
    seeded(async (random) => {
      const { endpointUrl, dataFolder } = await startS3Server("versitygw");
      await writeMixedImage(image, 48 * MIB, random);
      const before = await sha256File(image);
      const report = join(folder, "bench.html");
      const { code, stdout, stderr } = await withLoopDevice(image, SECTOR, (device) =>
        runBench([
          ...["--device", device, "--repo", `s3://${BUCKET}/fleet`, "--report", report, "--small"],
          ...["--endpoint-url", endpointUrl, "--force-path-style", "--work-dir", folder],
          ...["--threads", "1", "2", "--queue-depths", "16"],
        ]),
      );
      assert.equal(code, 0, `${stdout}\n${stderr}`);
      assert.equal(await sha256File(image), before);
      assert.deepEqual((await readdir(folder)).sort(), ["bench.html", "disk.img"]);
      assert.deepEqual(await objectsIn(join(dataFolder, BUCKET)), []);
      const figures = figuresOf(await readFile(report, "utf8")) as DeviceFigures;
      assert.deepEqual(
        figures.tools.map(({ name }) => name),
        ["blockferry", "restic"],
      );
      assert.ok(figures.fio.every(({ bytesPerSecond }) => bytesPerSecond > 0));
      await Chromium.with(async (browser) => {
        const charts = await assertSoundReport(browser, report, "bench");
        assert.deepEqual(chartNamed(charts, "Roofline").shapes, { line: 3, roof: 1, dot: 1 });
        assert.deepEqual(chartNamed(charts, "Backups, by threads and reads in flight").shapes, { dot: 2 });
        assert.equal(chartNamed(charts, "The device, by reads in flight").shapes.dot, 4);
        assert.equal(chartNamed(charts, "Restores, by threads").shapes.bar, 2);
        for (const what of ["First backup", "Second backup", "Restore"]) {
          assert.equal(chartNamed(charts, `${what}, tools compared`).shapes.bar, 2);
        }
        assert.ok((chartNamed(charts, "Throughput over time").shapes.line ?? 0) > 0);
      });
    }),
  );

  rootTest("overwrites no file and not the device that it measures", async () => {
    await writeFile(image, Buffer.alloc(MIB, "x"));
    const repo = join(folder, "repo");
    await withLoopDevice(image, SECTOR, async (device) => {
      for (const target of [image, device]) {
        const report = join(folder, "refused.html");
        const args = ["--device", device, "--repo", repo, "--restore-to", target, "--report", report];
        const { code, stderr } = await runBench(args);
        assert.equal(code, 2);
        assert.match(stderr, /--restore-to/);
      }
    });
    assert.ok((await readFile(image)).equals(Buffer.alloc(MIB, "x")));
  });

  test("refuses impossible measurements with a message, and leaves nothing behind", async () => {
    const empty = await tempFolder();
    const common = [
      "--repo",
      join(empty, "repo"),
      "--report",
      join(empty, "bench.html"),
      "--work-dir",
      empty,
    ];
    const refusals: [string[], number, RegExp][] = [
      [["--device", join(empty, "nothing")], 1, /nothing.*\n {2}\S/],
      [["--device", image, "--rounds=0"], 2, /--rounds/],
      [["--device", image, "--threads=x"], 2, /--threads/],
      [["--device", image, "--queue-depths=-1"], 2, /--queue-depths/],
    ];
    for (const [args, exit, says] of refusals) {
      const { code, stderr } = await runBench([...args, ...common]);
      assert.equal(code, exit, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /\n {4}at /);
    }
    assert.deepEqual(await readdir(empty), []);
  });

  rootTest(
    "has borg read a device, and restore the same to a file",
    needing("borg"),
    seeded(async (random) => {
      await writeMixedImage(image, 4 * MIB, random);
      const borg = borgOnDevice(folderPlace(join(folder, "borg-repo")), folder, warm);
      const target = join(folder, "restored.img");
      await withLoopDevice(image, SECTOR, async (device) => {
        await borg.reset();
        await borg.backup(device);
        await borg.restore(target);
      });
      await assertSameContent(target, image);
    }),
  );
});

test("a roofline allows the speed of the lowest roof: the slope of the storage, then device or processor", () => {
  const roofs = { device: 1000, cpu: 800, storage: 100 };
  assert.equal(attainable(roofs, 2), 200);
  assert.equal(attainable(roofs, 16), 800);
  assert.equal(attainable({ ...roofs, storage: undefined }, 1), 800);
});

function runBench(args: string[]) {
  return startProgram(MAIN, args).result;
}

async function objectsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}
