import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { closeSources, openSources } from "../../../agent/backup/plan-volumes.js";
import { MAX_VOLUME_BYTES, MAX_VOLUMES } from "../../../repository/recovery-point.js";

const QUIETLY = { start: () => undefined, stop: () => undefined, notice: () => undefined };

/** In memory: ext4 has no files of 256 TiB. */
async function largestImage(): Promise<string> {
  const folder = await mkdtemp("/dev/shm/blockferry-test-");
  after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "disk.img"), "");
  await truncate(join(folder, "disk.img"), MAX_VOLUME_BYTES);
  return join(folder, "disk.img");
}

test("no more volumes are opened than a recovery point may have, and none that are too large for it in all", async () => {
  const path = await largestImage();
  const devices = (count: number) =>
    Array.from({ length: count }, (_, number) => ({ path, name: `v${number}` }));
  const told = { code: "Usage", message: /4097 devices; a recovery point may have 4096/ };
  await assert.rejects(openSources(devices(MAX_VOLUMES + 1), QUIETLY), told);
  await assert.rejects(openSources(devices(32), QUIETLY), { code: "Usage", message: /8 PiB/ });
  await closeSources(await openSources(devices(31), QUIETLY));
});
