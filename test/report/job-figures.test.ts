import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type BackupFigures,
  MAX_CELLS,
  MAX_SPANS,
  readFigures,
  writeFigures,
} from "../../report/backup-figures.js";
import { backupPage } from "../../report/backup-page.js";
import { figuresOf } from "../../report/page.js";
import { maxJsonValues } from "../../repository/format/object-bounds.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { jobKey } from "../../repository/jobs/job-key.js";
import { UNSIGNED_REPLIES } from "../../repository/jobs/signed-document.js";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { isThere } from "../../repository/storage/read-object.js";
import { someFigures, someVolume } from "../support/figures.js";
import { INSTANCE } from "../support/jobs.js";
import { tempFolder } from "../support/temp-folder.js";

const JOB = "job-20261123T112150Z-3f9a1c2b";
const POINT = "20261123T112150Z-3f9a1c2b";
const KEY = jobKey(JOB, "figures");
const EXPECTED = { point: POINT, machine: INSTANCE.instanceId };

describe("figures of a job", async () => {
  const storage = await openStorage(parseStorageLocation(await tempFolder()));

  test("come back as they were left, and are drawn", async () => {
    assert.equal(await readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES), undefined);
    const figures = someFigures(POINT);
    await writeFigures(storage, JOB, figures, UNSIGNED_REPLIES);
    const read = await readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES);
    assert.deepEqual(read, figures);
    assert.deepEqual(figuresOf(backupPage(read as BackupFigures).text), figures);
  });

  test("of the largest backup that EC2 allows have room", async () => {
    const cells = Array.from({ length: MAX_CELLS }, () => Array<number>(5).fill(2 ** 17 / 8));
    const volumes = Array.from({ length: 128 }, (_, number) => ({
      ...someVolume(`/dev/sd${number}`, cells),
      chunksPerCell: 2 ** 17,
    }));
    const [span] = someFigures(POINT).timeline;
    assert.ok(span !== undefined);
    const timeline = Array<typeof span>(MAX_SPANS).fill(span);
    const figures = someFigures(POINT, { volumes, timeline, stages: Array(256).fill(span.stages) });
    await writeFigures(storage, JOB, figures, UNSIGNED_REPLIES);
    const { length } = (await storage.get(KEY)).toString("latin1").match(/[[{,]/g) ?? [];
    assert.ok(length !== undefined && length < maxJsonValues(KEY));
    assert.deepEqual(await readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES), figures);
  });

  test("of another recovery point, or another machine, are reported as such", async () => {
    for (const other of [
      someFigures("20200101T000000Z-00000000"),
      someFigures(POINT, { machine: "i-0ccccccccccccccc3" }),
    ]) {
      await writeFigures(storage, JOB, other, UNSIGNED_REPLIES);
      await assert.rejects(readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES), {
        code: "ObjectCorrupt",
        object: KEY,
      });
    }
  });

  test("that no reader accepts are not written", async () => {
    const other = "job-20261123T112150Z-00000000";
    const figures = someFigures(POINT, { seconds: -1 });
    await assert.rejects(writeFigures(storage, other, figures, UNSIGNED_REPLIES));
    assert.equal(await isThere(storage, jobKey(other, "figures")), false);
  });

  test("that are malformed give a short error, whatever they contain", async () => {
    await storage.put(KEY, sealJson({ ...someFigures(POINT), point: "x\nnote: run this\n".repeat(100_000) }));
    await assert.rejects(readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES), ({ message }: Error) => {
      return message.length < 1000 && !message.includes("run this");
    });
  });

  test("with the longest names there can be are drawn in bounded room", async () => {
    const worst = '"'.repeat(4096);
    const tags = Object.fromEntries(Array.from({ length: 256 }, (_, n) => [`${worst.slice(5)}${n}`, worst]));
    const volumes = Array.from({ length: 128 }, () => ({ ...someVolume(worst, []), source: worst }));
    await writeFigures(
      storage,
      JOB,
      someFigures(POINT, { tags, volumes, repository: worst }),
      UNSIGNED_REPLIES,
    );
    const read = await readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES);
    assert.ok(backupPage(read as BackupFigures).text.length < 64 * 2 ** 20);
  });

  const [step] = someFigures(POINT).steps;
  const [span] = someFigures(POINT).timeline;
  const wrong: [string, object][] = [
    ["a time that is none", { seconds: 0 }],
    ["a time of more than a hundred years", { seconds: 1e10 }],
    ["no threads", { threads: 0 }],
    ["a step that ends before it begins", { steps: [{ ...step, start: 2 }] }],
    ["a stage that nobody knows", { stages: [{ ...span?.stages, sleep: 1 }] }],
    ["spans that are not in order", { timeline: [span, { ...span, seconds: 0.1 }] }],
    ["more spans than a chart shows", { timeline: Array(MAX_SPANS + 1).fill(span) }],
    ["a cell of no chunks", { volumes: [someVolume("root", [[0, 0, 0, 0, 0]])] }],
    ["a cell of too many chunks", { volumes: [someVolume("root", [[5, 0, 0, 0, 0]])] }],
    ["a cell of four kinds", { volumes: [someVolume("root", [[1, 1, 1, 1]])] }],
    ["a point that is none", { point: "latest" }],
    ["a name of more than 4,096 characters", { repository: "/".repeat(4097) }],
    ["too many tags", { tags: Object.fromEntries(Array.from({ length: 257 }, (_, n) => [n, ""])) }],
    ["a field that nobody knows", { script: "alert(1)" }],
  ];
  for (const [what, fields] of wrong) {
    test(`with ${what} are not drawn`, async () => {
      await storage.put(KEY, sealJson({ ...someFigures(POINT), ...fields }));
      await assert.rejects(readFigures(storage, JOB, EXPECTED, UNSIGNED_REPLIES), {
        code: "RepositoryUnsupported",
      });
    });
  }
});
