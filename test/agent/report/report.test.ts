import assert from "node:assert/strict";
import { chmod, lstat, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { beginReport } from "../../../agent/cli/output-options.js";
import { figuresReport } from "../../../agent/report/backup-report.js";
import { type BackupFigures, STAGES, type VolumeReport } from "../../../report/backup-figures.js";
import { figuresOf, ReportFile } from "../../../report/page.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import type { RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { openRepository } from "../../../repository/open/repository.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { FIXTURES } from "../../fixtures/fixtures.js";
import { assertSoundReport, chartNamed } from "../../support/charts.js";
import { Chromium } from "../../support/chromium.js";
import { fullDepthOnly } from "../../support/depth.js";
import { deviceWithBadBlocks, needingNbdDevice, withNbdDevice } from "../../support/nbd-device.js";
import { SeededRandom } from "../../support/random.js";
import { agentFails, backUp, newRepository, pointIds } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { tempFolder } from "../../support/temp-folder.js";

/** Letters stand for the content of a chunk; `.` is a chunk of zeros. */
const BEFORE = "AABBCD......EFGH";
const AFTER = "AAXXCD....D.EFHG";

test("a report that cannot be written after the backup is stored is a note, not a failure", async () => {
  const folder = join(await tempFolder(), "reports");
  await mkdir(folder);
  const notes: string[] = [];
  const args = { report: join(folder, "a.html"), metricsFile: undefined, emfFile: undefined };
  const report = await beginReport(args, (note) => notes.push(note));
  await rm(folder, { recursive: true });
  const point = await somePoint();
  await report.write({ point, repository: "repo", seconds: 1, parallelism: { threads: 1, queueDepth: 1 } });
  assert.match(notes.join(), /the report could not be written: ENOENT/);
});

test("figures that cannot be made, or cannot reach one of two receivers, are a note, not a failure", async () => {
  const notes: string[] = [];
  const received: BackupFigures[] = [];
  const failing = () => Promise.reject(new Error("gone"));
  const report = figuresReport([failing, async (figures) => void received.push(figures)], (note) =>
    notes.push(note),
  );
  const run = { repository: "repo", seconds: 1, parallelism: { threads: 1, queueDepth: 1 } };
  const point = await somePoint();
  await report.write({ ...run, point });
  assert.deepEqual([notes, received.length], [["the report could not be written: gone"], 1]);
  await report.write({ ...run, point: { ...point, volumes: null as unknown as [] } });
  assert.equal(notes.length, 3);
  assert.equal(received.length, 1);
});

describe("backup --report", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const random = SeededRandom.fresh();
  const contents = new Map<string, Buffer>([[".", Buffer.alloc(CHUNK_BYTES)]]);
  const write = (path: string, chunks: string) => {
    for (const letter of chunks) if (!contents.has(letter)) contents.set(letter, random.bytes(CHUNK_BYTES));
    return writeFile(path, Buffer.concat([...chunks].map((letter) => contents.get(letter) as Buffer)));
  };
  const reports = { first: join(folder, "first.html"), second: join(folder, "second.html") };
  let repo: string;
  let previous: string;
  let current: string;
  before(async () => {
    repo = await newRepository(folder);
    await write(image, BEFORE);
    previous = (await backUp(repo, `${image}=root`, "--report", reports.first)).point;
    await write(image, AFTER);
    const hostile = `--tag=note=</script><script>document.title = "taken"</script><img src=x onerror=alert(1)>`;
    current = (await backUp(repo, `${image}=root`, "--report", reports.second, hostile)).point;
  });

  test("classifies each chunk as zeros, unchanged, deduplicated or new", async () => {
    const first = await volumeIn(reports.first);
    assert.equal(first.parent, null);
    assert.equal(kindsIn(first), "ndndnn......nnnn");
    const second = await volumeIn(reports.second);
    assert.equal(second.parent, previous);
    assert.equal(kindsIn(second), "==nd==....d.==dd");
    assert.deepEqual(second.bytes, bytesOf({ zero: 5, unchanged: 6, deduplicated: 4, new: 1 }));
  });

  test("has steps that follow each other, and a time of each thread that fits into them", async () => {
    const { steps, stages, timeline, seconds } = await figuresIn(reports.second);
    const names = ["prepare", "index", "holes", "read", "maps", "commit", "compare"];
    assert.deepEqual(
      steps.map(({ step }) => step),
      names,
    );
    for (const [number, { start, end }] of steps.entries()) {
      assert.ok(
        end >= start && start >= (steps[number - 1]?.end ?? 0) && end <= seconds,
        JSON.stringify(steps),
      );
    }
    const reading = steps.find(({ step }) => step === "read");
    for (const thread of stages) {
      const sum = STAGES.reduce((total, stage) => total + thread[stage], 0);
      assert.ok(
        thread.hash > 0 && sum <= (reading?.end ?? 0) - (reading?.start ?? 0),
        JSON.stringify(thread),
      );
    }
    const read = timeline.reduce((sum, { readBytes }) => sum + readBytes, 0);
    assert.equal(read, AFTER.length * CHUNK_BYTES);
  });

  const browsed = fullDepthOnly;
  test(
    "is drawn soundly by a browser, loads and runs nothing, and takes no harm from hostile names",
    browsed,
    async () => {
      await Chromium.with(async (browser) => {
        const charts = await assertSoundReport(browser, reports.second, "backup");
        const map = chartNamed(charts, "Map of the volume");
        assert.deepEqual(map.shapes, { area: 4, cell: AFTER.length });
        assert.equal(chartNamed(charts, "The steps of the backup").shapes.bar, 7);
        assert.equal(chartNamed(charts, "What the threads did, over time").shapes.area, STAGES.length);
        assert.equal(chartNamed(charts, "Throughput over time").shapes.line, 2);
        assert.equal(await browser.evaluate("document.title"), `Backup ${current}`);
        assert.match(
          await browser.evaluate<string>("document.body.innerText"),
          /<img src=x onerror=alert\(1\)>/,
        );
        assert.equal(await browser.evaluate("document.images.length"), 0);
      });
    },
  );

  test("replaces the report of another backup", async () => {
    await backUp(repo, `${image}=root`, "--report", reports.first);
    assert.equal(kindsIn(await volumeIn(reports.first)), "======....=.====");
  });

  test("is written where a symbolic link leads to, also when nothing is there yet, and the link stays", async () => {
    await mkdir(join(folder, "pages"));
    const [latest, page] = [join(folder, "latest.html"), join(folder, "pages", "page.html")];
    await symlink("pages/page.html", latest);
    for (const _ of ["new", "replaced"]) {
      const { point } = await backUp(repo, `${image}=root`, "--report", latest);
      assert.equal((await figuresIn(page)).point, point);
      assert.ok((await lstat(latest)).isSymbolicLink());
    }
    assert.deepEqual(await readdir(join(folder, "pages")), ["page.html"]);
  });

  test("is for its owner alone when it is new, and keeps the mode of a page that it replaces", async () => {
    const report = join(folder, "mode.html");
    await backUp(repo, `${image}=root`, "--report", report);
    assert.equal((await stat(report)).mode & 0o777, 0o600);
    await chmod(report, 0o664);
    await backUp(repo, `${image}=root`, "--report", report);
    assert.equal((await stat(report)).mode & 0o777, 0o664);
  });

  rootTest("shows where blocks could not be read", needingNbdDevice, async () => {
    const offset = 5 * CHUNK_BYTES + 4096;
    const bad = deviceWithBadBlocks(image, AFTER.length * CHUNK_BYTES, [{ offset, length: 4096 }]);
    const report = join(folder, "bad.html");
    await withNbdDevice(join(folder, "device"), bad, async (device) => {
      await backUp(repo, `${device}=root`, "--skip-bad-blocks", "--report", report);
    });
    const volume = await volumeIn(report);
    assert.equal(kindsIn(volume), "=====!....=.====");
    assert.equal(volume.unreadableBytes, 4096);
  });

  test("of an empty image says that there was nothing to read, and blames nothing for it", async () => {
    const [empty, report] = [join(folder, "empty.img"), join(folder, "empty.html")];
    await writeFile(empty, "");
    await backUp(repo, `${empty}=root`, "--report", report);
    const html = await readFile(report, "utf8");
    assert.match(html, /The volumes are empty: there was nothing to read\./);
    assert.doesNotMatch(html, /was the limit/);
  });

  test("shows all chunks as new when the previous data are lost", async () => {
    const lost = await newRepository(folder, "lost");
    await backUp(lost, `${image}=root`);
    await rm(join(lost, "packs"), { recursive: true });
    const report = join(folder, "lost.html");
    await backUp(lost, `${image}=root`, "--report", report);
    assert.equal(kindsIn(await volumeIn(report)), "ndndnn....d.nnnn");
  });

  test("is refused before the backup if it cannot be written, and never replaces a file that is not a page", async () => {
    const points = await pointIds(repo);
    const content = await readFile(image);
    const args = ["backup", "--repo", repo, "--device", image, "--report", image];
    assert.equal((await agentFails(1, ...args)).code, "ReportNotWritable");
    for (const path of [join(folder, "none", "a.html"), folder, "/dev/null"]) {
      await assert.rejects(ReportFile.prepare(path), { code: "ReportNotWritable" });
    }
    assert.deepEqual(await pointIds(repo), points);
    assert.ok(content.equals(await readFile(image)));
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });
});

async function somePoint(): Promise<RecoveryPoint> {
  const { storage } = await openRepository({
    kind: "directory",
    path: join(FIXTURES, "format-1", "repository"),
  });
  return findPoint(storage, "latest");
}

async function figuresIn(path: string): Promise<BackupFigures> {
  return figuresOf(await readFile(path, "utf8")) as BackupFigures;
}

async function volumeIn(path: string): Promise<VolumeReport> {
  const [volume, ...others] = (await figuresIn(path)).volumes;
  assert.ok(volume !== undefined && others.length === 0);
  return volume;
}

/**
 * Returns the map of a volume with one cell for each chunk: `=` unchanged, `d` deduplicated, `n` new, `!`
 * unreadable.
 */
function kindsIn({ chunksPerCell, cells }: VolumeReport): string {
  assert.equal(chunksPerCell, 1);
  return cells.map((counts) => ".=dn!"[counts.indexOf(1)]).join("");
}

function bytesOf(chunks: VolumeReport["bytes"]): VolumeReport["bytes"] {
  const bytes = Object.entries(chunks).map(([outcome, count]) => [outcome, count * CHUNK_BYTES]);
  return Object.fromEntries(bytes) as VolumeReport["bytes"];
}
