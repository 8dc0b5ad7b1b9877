import assert from "node:assert/strict";
import { test } from "node:test";
import { StageTimes } from "../../../agent/backup/recorder.js";
import { Timeline } from "../../../agent/report/timeline.js";
import { waitUntil } from "../../support/wait-until.js";

const NOTHING = { doneBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 };

test("a long run has no more spans than a chart can show, and loses no byte of it", async () => {
  let doneBytes = 0;
  const count = () => ({ ...NOTHING, doneBytes: doneBytes++ });
  const timeline = new Timeline(StageTimes.create(1), count, 1);
  await waitUntil("more samples than are kept", async () => doneBytes > 450, 30_000);
  timeline.end();
  const { spans } = timeline;
  assert.ok(spans.length < 400, `${spans.length} spans`);
  assert.equal(
    spans.reduce((sum, { readBytes }) => sum + readBytes, 0),
    doneBytes - 1,
  );
  for (const [number, { seconds }] of spans.entries()) assert.ok(seconds > (spans[number - 1]?.seconds ?? 0));
});
