import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "node:test";
import { writeStatus } from "../../../repository/jobs/job-status.js";
import { TestDevices } from "../../support/device-tree.js";
import { jobVolume, WORKER } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import {
  assertRestores,
  assertWhole,
  filesBelow,
  newRepository,
  pointIds,
} from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const SIZE_BYTES = 4 * 1024 * 1024;

async function workshop() {
  const folder = await tempFolder();
  const served = await ServedRepository.open(await newRepository(folder));
  const devices = await TestDevices.create();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, SIZE_BYTES, SeededRandom.fresh());
  const volume = jobVolume(0, SIZE_BYTES);
  await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), image);
  return { folder, served, options: devices.options, image, volume };
}

describe("a job whose agent was killed", () => {
  rootTest("is taken up however late it is, as it has begun in time", async () => {
    const { served, options, volume } = await workshop();
    const job = await served.addJob([volume], { expiresAt: "2026-01-01T00:00:00.000Z" });
    await writeStatus(served.repository.storage, {
      ...{ version: 1, job: job.id, worker: WORKER, state: "running", sequence: 7 },
      ...{ updatedAt: "2026-01-01T00:00:00.000Z", totalBytes: 0, doneBytes: 0, zeroBytes: 0 },
      ...{ duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    });
    const { code, stdout } = await served.serveOnce(options);
    assert.equal(code, 0, stdout);
    assert.deepEqual(await pointIds(served.repo), [await served.pointOf(job.id)]);
  });

  rootTest("is done again when the point that the agent made has lost chunks meanwhile", async () => {
    const { folder, served, options, image, volume } = await workshop();
    const job = await served.addJob([volume]);
    await served.serveOnce(options);
    const hollow = await served.pointOf(job.id);
    await rm(join(served.repo, "jobs", job.id, "result.json"));
    const [pack = ""] = await filesBelow(join(served.repo, "packs"));
    await rm(pack);
    const { code, stdout } = await served.serveOnce(options);
    assert.equal(code, 0, stdout);
    const point = await served.pointOf(job.id);
    assert.notEqual(point, hollow);
    assert.deepEqual(await pointIds(served.repo), [point], "the one that lacks data is taken back");
    await assertRestores(served.repo, point, image, join(folder, "restored.img"));
    await assertWhole(served.repo);
  });
});
