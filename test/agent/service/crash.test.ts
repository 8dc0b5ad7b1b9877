import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "node:test";
import { listPoints } from "../../../repository/points/points.js";
import { fullDepthOnly } from "../../support/depth.js";
import { TestDevices } from "../../support/device-tree.js";
import { jobVolume } from "../../support/jobs.js";
import { writeRandomFile } from "../../support/random-files.js";
import {
  assertRestores,
  assertWhole,
  bytesBelow,
  filesBelow,
  newRepository,
  pointIds,
} from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { seeded } from "../../support/seeded.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;
const SIZE_BYTES = 384 * MIB;

describe("a service that is killed outright", () => {
  rootTest(
    "in a job is followed by an agent that does the job, and stores only the missing data",
    fullDepthOnly,
    seeded(async (random) => {
      const folder = await tempFolder();
      const served = await ServedRepository.open(await newRepository(folder));
      const devices = await TestDevices.create();
      const image = join(folder, "disk.img");
      await writeRandomFile(image, SIZE_BYTES, random);
      const volume = jobVolume(0, SIZE_BYTES);
      await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), image);
      const job = await served.addJob([volume], {
        options: { compression: "lz4", threads: 1, queueDepth: null, badBlocks: "fail" },
      });
      const packs = join(served.repo, "packs");
      const service = served.serve(devices.options);
      await waitUntil("the first pack", async () => (await filesBelow(packs)).length > 0);
      service.process.kill("SIGKILL");
      assert.equal((await service.result).signal, "SIGKILL");
      const last = await served.status(job.id);
      assert.ok(last !== undefined);
      assert.equal(await served.result(job.id), undefined);
      assert.deepEqual(await pointIds(served.repo), []);
      const stored = await bytesBelow(packs);

      const { code, stdout } = await served.serveOnce(devices.options);
      assert.equal(code, 0, stdout);
      const status = await served.status(job.id);
      assert.ok((status?.sequence ?? 0) > last.sequence, "a controller sees that the agent lives again");
      const { points } = await listPoints(served.repository.storage);
      const newBytes = points[0]?.stats.newBytes ?? 0;
      assert.ok(newBytes + stored <= SIZE_BYTES + MIB, `${stored}, then ${newBytes} bytes`);
      await assertWhole(served.repo, "metadata");
      const restored = join(folder, "restored.img");
      await assertRestores(served.repo, await served.pointOf(job.id), image, restored);

      // As if the agent had been killed between the recovery point and the result.
      const point = await served.pointOf(job.id);
      await rm(join(served.repo, "jobs", job.id, "result.json"));
      const again = await served.serveOnce(devices.options);
      assert.equal(again.code, 0, again.stdout);
      assert.equal(await served.pointOf(job.id), point);
      assert.deepEqual(await pointIds(served.repo), [point], "there is no second point");
    }),
  );
});
