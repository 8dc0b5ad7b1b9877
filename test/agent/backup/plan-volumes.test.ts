import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { closeSources, openSources } from "../../../agent/backup/plan-volumes.js";
import { MAX_VOLUME_BYTES, MAX_VOLUMES } from "../../../repository/format/recovery-point.js";
import { QUIET } from "../../support/in-process.js";
import { memoryFolder } from "../../support/temp-folder.js";

async function largestImage(): Promise<string> {
  const image = join(await memoryFolder(), "disk.img");
  await writeFile(image, "");
  await truncate(image, MAX_VOLUME_BYTES);
  return image;
}

test("too many volumes for a recovery point are refused, and so are volumes that are too large in total", async () => {
  const path = await largestImage();
  const devices = (count: number) =>
    Array.from({ length: count }, (_, number) => ({ path, name: `v${number}` }));
  const tooMany = { code: "Usage", message: /4097 devices; a recovery point may have at most 4096/ };
  await assert.rejects(openSources(devices(MAX_VOLUMES + 1), QUIET), tooMany);
  await assert.rejects(openSources(devices(32), QUIET), { code: "Usage", message: /8 PiB/ });
  await closeSources(await openSources(devices(31), QUIET));
});
