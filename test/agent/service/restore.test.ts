import assert from "node:assert/strict";
import { open, readdir, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe } from "node:test";
import { newJobId, type RestoreJob, writeJob } from "../../../repository/jobs/job.js";
import { writeStatus } from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { agentJson } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { TestDevices } from "../../support/device-tree.js";
import { writeMixedImage } from "../../support/images.js";
import { WORKER } from "../../support/jobs.js";
import type { SeededRandom } from "../../support/random.js";
import { newRepository } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { seeded } from "../../support/seeded.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const VOLUME = {
  name: "data",
  volumeId: "vol-0123456789abcdef0",
  sizeBytes: 16 * MIB,
  attachName: "/dev/sdf",
};

/** Makes a point of one volume, and a device to restore it to. */
async function scene(
  random: SeededRandom,
  { deviceBytes = VOLUME.sizeBytes, table = "" }: { deviceBytes?: number; table?: string } = {},
) {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const [image, disk] = [join(folder, "data.img"), join(folder, "disk.img")];
  await writeMixedImage(image, 15 * MIB, random);
  if (table !== "") await runTool("sh", "-c", `printf '${table}' | sfdisk --quiet "$0"`, image);
  const backup = ["backup", "--repo", repo, "--device", `${image}=data`];
  const { point } = await agentJson<{ point: string }>(...backup);
  await writeFile(disk, "");
  await truncate(disk, deviceBytes);
  const served = await ServedRepository.open(repo);
  const devices = await TestDevices.create();
  const device = await devices.attachNvme("nvme1n1", VOLUME.volumeId.replace("-", ""), disk);
  return { served, devices, device, image, disk, point };
}

async function addRestore(served: ServedRepository, fields: Partial<RestoreJob>): Promise<string> {
  const { storage, config } = served.repository;
  const now = new Date();
  const id = newJobId(now);
  await writeJob(storage, {
    ...{ version: 1, kind: "restore", id, repository: config.id, createdAt: now.toISOString() },
    ...{ expiresAt: new Date(now.getTime() + 3_600_000).toISOString(), worker: WORKER, point: "" },
    ...{ volumes: [VOLUME], options: { threads: 2 } },
    ...fields,
  });
  return id;
}

/** Writes data, as if the device were in use. */
async function writeData(disk: string, offset: number): Promise<void> {
  const file = await open(disk, "r+");
  await file.write(Buffer.from("precious"), 0, 8, offset);
  await file.close();
}

describe("a service that is to restore", () => {
  rootTest(
    "fills a blank device with the volume, and says which point it was",
    seeded(async (random) => {
      const { served, devices, device, image, point } = await scene(random);
      const job = await addRestore(served, { point });
      await served.serveOnce(devices.options);
      assert.equal(await served.pointOf(job), point);
      await runTool("cmp", "-n", String(15 * MIB), device, image);
    }),
  );

  rootTest(
    "makes the kernel read the partition table, and logs the tasks that are left",
    needing("sfdisk"),
    seeded(async (random) => {
      const { served, devices, device, point } = await scene(random, { table: "label: gpt\\n,4M\\n,5M\\n" });
      const job = await addRestore(served, { point });
      const { stdout } = await served.serveOnce(devices.options);
      try {
        assert.equal(await served.pointOf(job), point);
        const shown = (await readdir(`/sys/block/${basename(device)}`)).filter((name) =>
          /\dp\d+$/.test(name),
        );
        assert.deepEqual(shown.toSorted(), [`${basename(device)}p1`, `${basename(device)}p2`]);
        assert.match(
          stdout,
          /"warning","message":".*nvme1n1 is larger than the volume.* `sgdisk -e .*nvme1n1`/,
        );
      } finally {
        await runTool("partx", "--delete", device);
      }
    }),
  );

  for (const offset of [0, 1024, 16 * MIB - 512]) {
    rootTest(
      `writes nothing to a device that holds data at byte ${offset}`,
      seeded(async (random) => {
        const { served, devices, disk, point } = await scene(random);
        await writeData(disk, offset);
        const before = await runTool("sha256sum", disk);
        const job = await addRestore(served, { point });
        await served.serveOnce(devices.options);
        const { code, object } = await served.errorOf(job);
        assert.deepEqual([code, object], ["TargetNotEmpty", VOLUME.volumeId]);
        assert.equal(await runTool("sha256sum", disk), before);
      }),
    );
  }

  rootTest(
    "continues a job that it had started, whatever the device holds of it",
    seeded(async (random) => {
      const { served, devices, device, image, disk, point } = await scene(random);
      await writeData(disk, 0);
      const job = await addRestore(served, { point });
      const figures = {
        totalBytes: 0,
        doneBytes: 0,
        zeroBytes: 0,
        duplicateBytes: 0,
        newBytes: 0,
        storedBytes: 0,
      };
      const status = {
        ...({ version: 1, job, worker: WORKER, state: "running", sequence: 1, ...figures } as const),
        updatedAt: new Date().toISOString(),
      };
      await writeStatus(served.repository.storage, status, UNSIGNED_REPLIES);
      await served.serveOnce(devices.options);
      assert.equal(await served.pointOf(job), point);
      await runTool("cmp", "-n", String(15 * MIB), device, image);
    }),
  );

  rootTest(
    "refuses a device of another size, a volume that the point does not have, and an unknown point",
    fullDepthOnly,
    seeded(async (random) => {
      const { served, devices, point } = await scene(random, { deviceBytes: 32 * MIB });
      const jobs: [Partial<RestoreJob>, string][] = [
        [{ point }, "DeviceSizeDiffers"],
        [{ point, volumes: [{ ...VOLUME, name: "other" }] }, "JobRefused"],
        [{ point: point.slice(0, -1) }, "JobRefused"],
      ];
      for (const [fields, code] of jobs) {
        const job = await addRestore(served, fields);
        await served.serveOnce(devices.options);
        assert.equal((await served.errorOf(job)).code, code);
      }
    }),
  );
});
