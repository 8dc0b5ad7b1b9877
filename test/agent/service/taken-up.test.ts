import assert from "node:assert/strict";
import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { BackupJob } from "../../../repository/jobs/job.js";
import { type JobStatus, writeStatus } from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { fullDepthOnly } from "../../support/depth.js";
import { TestDevices } from "../../support/device-tree.js";
import { jobVolume, WORKER } from "../../support/jobs.js";
import { hidePacks, withOtherIds } from "../../support/plant-pack.js";
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
import { ServedRepository, stopService } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const SIZE_BYTES = 4 * 1024 * 1024;

/** A large sparse file that one thread reads, a chunk at a time: the backup takes many heartbeats. */
const SLOW_BYTES = 1024 * 1024 * 1024;
const SLOW = { compression: "lz4", threads: 1, queueDepth: 1, badBlocks: "fail" } as const;

/** The status of an agent that did not count its starts. */
function statusOf({ id: job }: BackupJob): JobStatus {
  return {
    ...{ version: 1, job, worker: WORKER, state: "running", sequence: 7 },
    ...{ updatedAt: "2026-01-01T00:00:00.000Z", totalBytes: 0, doneBytes: 0, zeroBytes: 0 },
    ...{ duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
  };
}

/** Makes a repository and a worker with a device. @param sizeBytes of the volume: random bytes, then zeros */
async function workshop(sizeBytes = SIZE_BYTES) {
  const folder = await tempFolder();
  const served = await ServedRepository.open(await newRepository(folder));
  const devices = await TestDevices.create();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, SIZE_BYTES, SeededRandom.fresh());
  await truncate(image, sizeBytes);
  const volume = jobVolume(0, sizeBytes);
  await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), image);
  return { folder, served, options: devices.options, image, volume };
}

describe("a job whose agent was killed", () => {
  rootTest("is taken up however late it is, because it was started in time", async () => {
    const { served, options, volume } = await workshop();
    const job = await served.addJob([volume], { expiresAt: "2026-01-01T00:00:00.000Z" });
    await writeStatus(served.repository.storage, statusOf(job), UNSIGNED_REPLIES);
    const { code, stdout } = await served.serveOnce(options);
    assert.equal(code, 0, stdout);
    assert.deepEqual(await pointIds(served.repo), [await served.pointOf(job.id)]);
  });

  rootTest(
    "is done again when the point that the agent made has lost chunks meanwhile",
    fullDepthOnly,
    async () => {
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
    },
  );

  rootTest(
    "keeps the point that the agent made when index segments hide its chunks",
    fullDepthOnly,
    async () => {
      const { folder, served, options, image, volume } = await workshop();
      const job = await served.addJob([volume]);
      await served.serveOnce(options);
      const hidden = await served.pointOf(job.id);
      await rm(join(served.repo, "jobs", job.id, "result.json"));
      const [segment = ""] = await hidePacks(served.repository.storage, withOtherIds);
      const { code, stdout } = await served.serveOnce(options);
      assert.equal(code, 0, stdout);
      assert.match(stdout, new RegExp(`${segment} does not list all chunks`));
      const point = await served.pointOf(job.id);
      assert.deepEqual(new Set(await pointIds(served.repo)), new Set([hidden, point]));
      await assertRestores(served.repo, hidden, image, join(folder, "restored.img"));
    },
  );

  test(
    "three times is given up with a result that says so, and the jobs behind it are done",
    fullDepthOnly,
    async () => {
      const { served, options } = await nothingAttached();
      const job = await served.addJob([jobVolume(0, SIZE_BYTES)]);
      for (let starts = 1; starts <= 3; starts++) await killIn(served, job, options, starts);
      const next = await served.addJob([jobVolume(1, SIZE_BYTES)]);
      const { stdout } = await served.serveOnce([...options, "--device-timeout=0.1"]);
      const error = await served.errorOf(job.id);
      assert.deepEqual([error.code, error.object], ["JobGivenUp", job.id], stdout);
      assert.match(error.message, /last 3 starts/);
      assert.equal((await served.errorOf(next.id)).code, "DeviceNotFound", "it has begun");
    },
  );

  test("twice is not given up for services that were stopped, however many", fullDepthOnly, async () => {
    const { served, options } = await nothingAttached();
    const job = await served.addJob([jobVolume(0, SIZE_BYTES)]);
    for (let starts = 1; starts <= 2; starts++) await killIn(served, job, options, starts);
    for (let stops = 1; stops <= 3; stops++) {
      const service = served.serve(options);
      await served.waitForStatus(job.id, ({ starts }) => starts?.count === 3);
      await stopService(service);
      assert.equal((await served.status(job.id))?.starts?.count, 2);
    }
    assert.equal(await served.result(job.id), undefined);
  });

  rootTest("has all its starts again once it got further than ever before", fullDepthOnly, async () => {
    const { served, options, volume } = await workshop(SLOW_BYTES);
    const job = await served.addJob([volume], { options: SLOW });
    const furthestBytes = SIZE_BYTES;
    const status = { ...statusOf(job), starts: { count: 2, furthestBytes } };
    await writeStatus(served.repository.storage, status, UNSIGNED_REPLIES);
    const service = served.serve(options);
    const { starts } = await served.waitForStatus(job.id, ({ doneBytes }) => doneBytes > SIZE_BYTES);
    service.process.kill("SIGKILL");
    assert.equal(starts?.count, 0);
    assert.ok(starts.furthestBytes > SIZE_BYTES);
    const { code, stdout } = await served.serveOnce(options);
    assert.equal(code, 0, stdout);
  });
});

/** Makes a worker whose jobs wait for their devices. */
async function nothingAttached() {
  const served = await ServedRepository.open(await newRepository(await tempFolder()));
  return { served, options: (await TestDevices.create()).options };
}

/** Kills an agent at its job. @param starts starts of the job without progress, including this one */
async function killIn(served: ServedRepository, { id }: BackupJob, options: string[], starts: number) {
  const service = served.serve(options);
  await served.waitForStatus(id, (status) => status.starts?.count === starts);
  service.process.kill("SIGKILL");
  await service.result;
}
