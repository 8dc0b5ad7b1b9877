import assert from "node:assert/strict";
import { mkdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type BackupFigures, readFigures } from "../../../report/backup-figures.js";
import { figuresOf } from "../../../report/page.js";
import { CHUNK_BYTES, ENCODING } from "../../../repository/format/chunk.js";
import { packKey } from "../../../repository/format/pack.js";
import type { RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { type BackupJob, newJobId } from "../../../repository/jobs/job.js";
import { jobKey, journalKey } from "../../../repository/jobs/job-key.js";
import { requestCancel } from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { TestDevices } from "../../support/device-tree.js";
import { initEncrypted } from "../../support/encryption.js";
import { writeMixedImage } from "../../support/images.js";
import { INSTANCE, jobVolume, makeJob, WORKER } from "../../support/jobs.js";
import { plantPack } from "../../support/plant-pack.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, assertWhole, newRepository, pointIds, restoreTo } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { assertSameContent, sha256File } from "../../support/same-content.js";
import { seeded } from "../../support/seeded.js";
import { ServedRepository, stopService } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const NO_DEVICES = ["--sysfs", "/nowhere/sys", "--dev", "/nowhere/dev"];

const serial = ({ volumeId }: BackupJob["volumes"][number]) => volumeId.replace("-", "");

async function emptyRepository(): Promise<ServedRepository> {
  return ServedRepository.open(await newRepository(await tempFolder()));
}

describe("a service", () => {
  rootTest(
    "backs up the volumes of a job, and its point records everything that a restore needs",
    seeded(async (random) => {
      const folder = await tempFolder();
      const served = await emptyRepository();
      const devices = await TestDevices.create();
      const images = [join(folder, "root.img"), join(folder, "data.img")] as const;
      const volumes = [jobVolume(0, 20 * MIB + 512), jobVolume(1, 9 * MIB)] as const;
      for (const [number, image] of images.entries()) {
        await writeMixedImage(image, volumes[number]?.sizeBytes ?? 0, random);
      }
      await devices.attachNvme("nvme2n1", serial(volumes[0]), images[0]);
      await devices.attachXen("xvdg", images[1]);
      const before = await Promise.all(images.map(sha256File));
      const job = await served.addJob([...volumes]);
      const metrics = join(folder, "metrics.prom");
      const telling = ["--report-folder", folder, "--metrics-file", metrics];
      const { code, stdout, stderr } = await served.serveOnce([...devices.options, ...telling]);
      assert.equal(code, 0, stdout + stderr);
      const report = figuresOf(await readFile(join(folder, `${job.id}.html`), "utf8")) as BackupFigures;
      assert.equal(report.machine, INSTANCE.instanceId);
      assert.equal(report.volumes.length, volumes.length);
      assert.match(await readFile(metrics, "utf8"), /^blockferry_run_unchanged_bytes\{.*\} 0$/m);

      const point = await agentJson<RecoveryPoint>(
        "show",
        await served.pointOf(job.id),
        "--repo",
        served.repo,
      );
      assert.equal(point.job, job.id);
      assert.deepEqual(point.instance, INSTANCE);
      assert.deepEqual(point.tags, job.tags);
      const kept = point.volumes.map(({ name, sizeBytes, ebs }) => ({ name, sizeBytes, origin: ebs }));
      assert.deepEqual(
        kept,
        volumes.map(({ name, sizeBytes, origin }) => ({ name, sizeBytes, origin })),
      );
      const restored = [join(folder, "root.restored"), join(folder, "data.restored")];
      const targets = restored.map((target, number) => `volume-${number}=${target}`);
      await restoreTo(served.repo, point.id, targets);
      for (const [number, image] of images.entries()) await assertSameContent(restored[number] ?? "", image);
      assert.deepEqual(await Promise.all(images.map(sha256File)), before, "nothing was written to a device");

      const status = await served.status(job.id);
      assert.equal(status?.worker, WORKER);
      const shown = await agent("show", point.id, "--repo", served.repo);
      for (const text of [
        INSTANCE.instanceId,
        INSTANCE.instanceType,
        volumes[0].origin.volumeId,
        "gp3",
        job.id,
      ]) {
        assert.ok(shown.stdout.includes(text), `${text} in\n${shown.stdout}`);
      }
    }),
  );

  rootTest(
    "a job's result shows how much its point relies on unread packs, and the data that are wrong there",
    fullDepthOnly,
    seeded(async (random) => {
      const folder = await tempFolder();
      const image = join(folder, "disk.img");
      const volume = jobVolume(0, 4 * MIB);
      await writeRandomFile(image, volume.sizeBytes, random);
      const devices = await TestDevices.create();
      await devices.attachNvme("nvme1n1", serial(volume), image);
      const served = await emptyRepository();
      const env = { BLOCKFERRY_STATE_DIR: join(folder, "state") };
      const { storage } = served.repository;
      const chunk = (await readFile(image)).subarray(0, CHUNK_BYTES);
      const length = { storedBytes: CHUNK_BYTES, rawBytes: CHUNK_BYTES };
      const forgery = { id: storage.cipher.chunkId(chunk), ...length, encoding: ENCODING.raw };
      const pack = await plantPack(storage, [forgery], { indexed: true });
      const relianceOf = async (proveKnown?: "new-packs") => {
        const options = { compression: "lz4", threads: 1, queueDepth: null, badBlocks: "fail" } as const;
        const job = await served.addJob([volume], { options: { ...options, proveKnown } });
        const { code, stdout } = await served.serveOnce(devices.options, env);
        assert.equal(code, 0, stdout);
        const { outcome } = await served.waitForResult(job.id);
        assert.ok(outcome.ok && outcome.reliance !== undefined);
        return outcome.reliance;
      };
      const first = await relianceOf("new-packs");
      assert.match(first.alarms.join(), new RegExp(packKey(pack)));
      assert.deepEqual([first.storedAgainBytes, first.provenBytes], [CHUNK_BYTES, 0]);
      const second = await relianceOf();
      assert.ok(second.unreadBytes > volume.sizeBytes, "the block map counts, too");
      assert.deepEqual([second.knownBytes, second.provenBytes], [second.unreadBytes, 0]);
      const verify = ["verify", "--read-data", "--repo", served.repo];
      assert.equal((await startAgent(verify, env).result).code, 3);
      const third = await relianceOf();
      assert.deepEqual([third.knownBytes, third.unreadBytes], [second.knownBytes, 0]);
    }),
  );

  rootTest("leaves figures of a job that asks for them, and finishes the job even if it cannot", async () => {
    const folder = await tempFolder();
    const repo = join(folder, "repo");
    await initEncrypted(repo);
    const served = await ServedRepository.open(repo);
    const devices = await TestDevices.create();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, MIB, SeededRandom.fresh());
    const volume = jobVolume(0, MIB);
    await devices.attachNvme("nvme1n1", serial(volume), image);
    const { options } = makeJob(served.repository.config.id, [volume]);
    const withReport = { options: { ...options, report: true as const } };
    // Its id is older than the others, so that it is done before them.
    const earlier = newJobId(new Date(Date.now() - 2000));
    const asked = await served.addJob([volume], { ...withReport, id: earlier });
    const silent = await served.addJob([volume]);
    const hindered = await served.addJob([volume], withReport);
    await mkdir(join(repo, jobKey(hindered.id, "figures"), "in the way"), { recursive: true });
    const { code, stdout, stderr } = await served.serveOnce(devices.options);
    assert.equal(code, 0, stdout + stderr);
    const figuresOfJob = async ({ id }: BackupJob) =>
      readFigures(
        ...([served.repository.storage, id] as const),
        { point: await served.pointOf(id), machine: INSTANCE.instanceId },
        UNSIGNED_REPLIES,
      );
    const figures = await figuresOfJob(asked);
    assert.deepEqual(figures?.volumes[0]?.bytes, { zero: 0, unchanged: 0, deduplicated: 0, new: MIB });
    assert.equal(await figuresOfJob(silent), undefined);
    await served.pointOf(hindered.id);
    assert.match(stdout, /the report could not be written: /);
  });

  rootTest("does one job after the other, and SIGTERM between two ends it as no failure", async () => {
    const served = await emptyRepository();
    const devices = await TestDevices.create();
    const image = join(await tempFolder(), "disk.img");
    await writeRandomFile(image, MIB, SeededRandom.fresh());
    const volume = jobVolume(0, MIB);
    await devices.attachNvme("nvme1n1", serial(volume), image);
    const first = await served.addJob([volume]);
    const second = await served.addJob([volume]);
    const service = served.serve(devices.options);
    await Promise.all([served.pointOf(first.id), served.pointOf(second.id)]);
    const third = await served.addJob([volume]);
    await served.pointOf(third.id);
    const { stdout } = await stopService(service);
    const lines = stdout.trim().split("\n");
    for (const line of lines) {
      const { time, level, message } = JSON.parse(line) as Record<string, string>;
      assert.ok(time !== undefined && level === "info" && message !== undefined, line);
    }
    assert.equal((await pointIds(served.repo)).length, 3);
  });

  rootTest(
    "measures first where it or a job says so, and not where the job names a number",
    fullDepthOnly,
    async () => {
      const served = await emptyRepository();
      const devices = await TestDevices.create();
      const image = join(await tempFolder(), "disk.img");
      await writeRandomFile(image, MIB, SeededRandom.fresh());
      const volume = jobVolume(0, MIB);
      await devices.attachNvme("nvme1n1", serial(volume), image);
      const jobs: [BackupJob["options"]["threads"], string[], string[]][] = [
        [null, ["--threads", "auto"], ["--threads auto: threads"]],
        [1, ["--threads", "auto"], []],
        ["auto", ["--threads", "1"], ["--threads auto: threads"]],
      ];
      for (const [threads, options, expected] of jobs) {
        const fields = { compression: "lz4", queueDepth: null, badBlocks: "fail" } as const;
        const job = await served.addJob([volume], { options: { ...fields, threads } });
        const { stdout } = await served.serveOnce([...devices.options, ...options]);
        await served.pointOf(job.id);
        assert.deepEqual(stdout.match(/--threads auto: threads/g) ?? [], expected, stdout);
      }
    },
  );

  rootTest("waits for a device that is attached late, with a heartbeat meanwhile", async () => {
    const served = await emptyRepository();
    const devices = await TestDevices.create();
    const image = join(await tempFolder(), "disk.img");
    await writeRandomFile(image, MIB, SeededRandom.fresh());
    const volume = jobVolume(0, MIB);
    const job = await served.addJob([volume]);
    const service = served.serve(devices.options);
    const status = await served.waitForStatus(job.id, ({ sequence }) => sequence >= 3);
    assert.equal(status.state, "preparing");
    await devices.attachNvme("nvme1n1", serial(volume), image);
    await served.pointOf(job.id);
    await stopService(service);
  });

  rootTest(
    "refuses a device of the wrong size, and one that never comes; the other jobs are done",
    async () => {
      const served = await emptyRepository();
      const devices = await TestDevices.create();
      const image = join(await tempFolder(), "disk.img");
      await writeRandomFile(image, MIB, SeededRandom.fresh());
      await devices.attachNvme("nvme1n1", serial(jobVolume(0, MIB)), image);
      const wrongSize = await served.addJob([jobVolume(0, 2 * MIB)]);
      const missing = await served.addJob([jobVolume(0, MIB), jobVolume(1, MIB)]);
      const good = await served.addJob([jobVolume(0, MIB)]);
      const { code } = await served.serveOnce([...devices.options, "--device-timeout=0.5"]);
      assert.equal(code, 1);
      assert.equal((await served.errorOf(wrongSize.id)).code, "DeviceSizeDiffers");
      const error = await served.errorOf(missing.id);
      assert.equal(error.code, "DeviceNotFound");
      assert.equal(error.object, jobVolume(1, MIB).volumeId);
      assert.deepEqual(await pointIds(served.repo), [await served.pointOf(good.id)]);
    },
  );

  test("refuses jobs that it cannot or must not do, each with a result that says why", async () => {
    const served = await emptyRepository();
    const { storage } = served.repository;
    const volumes = [jobVolume(0, MIB)];
    const outdated = await served.addJob(volumes, { expiresAt: "2026-01-01T00:00:00.000Z" });
    const elsewhere = await served.addJob(volumes, { repository: "00000000-0000-4000-8000-000000000000" });
    const greedy = await served.addJob(volumes, {
      options: { compression: "none", threads: 200, queueDepth: 256, badBlocks: "fail" },
    });
    const raw = async (body: (job: BackupJob) => Buffer) => {
      const job = makeJob(served.repository.config.id, volumes);
      await storage.put(jobKey(job.id, "job"), body(job));
      return job;
    };
    const later = await raw((job) => sealJson({ ...job, version: 2, priority: 1 }));
    const extended = await raw((job) => sealJson({ ...job, shell: "true" }));
    const broken = await raw((job) => Buffer.from(sealJson(job).toString().replace("volume-0", "volume-1")));
    const copied = await raw((job) => sealJson({ ...job, id: newJobId(new Date()) }));
    const cancelled = await served.addJob(volumes);
    await requestCancel(storage, cancelled.id);
    const { code, stdout } = await served.serveOnce(NO_DEVICES);
    assert.equal(code, 1, stdout);
    const expected = [
      ...[
        [outdated, "JobOutdated"],
        [elsewhere, "JobRefused"],
        [greedy, "Usage"],
        [later, "JobRefused"],
      ],
      ...[
        [extended, "JobRefused"],
        [broken, "JobRefused"],
        [copied, "JobRefused"],
        [cancelled, "Cancelled"],
      ],
    ] as [BackupJob, string][];
    for (const [job, errorCode] of expected) {
      const error = await served.errorOf(job.id);
      assert.equal(error.code, errorCode, error.message);
    }
    assert.deepEqual(await pointIds(served.repo), []);
  });

  test("leaves jobs alone that are for others, have a result, or are too damaged to show their worker", async () => {
    const served = await emptyRepository();
    const { storage } = served.repository;
    const volumes = [jobVolume(0, MIB)];
    const other = await served.addJob(volumes, { worker: "i-0ccccccccccccccc3" });
    const unreadable = newJobId(new Date());
    await storage.put(jobKey(unreadable, "job"), Buffer.from("{"));
    const announced = newJobId(new Date());
    await storage.put(journalKey(announced, 1), sealJson({}));
    const { code, stdout } = await served.serveOnce(NO_DEVICES);
    assert.equal(code, 0, stdout);
    for (const id of [other.id, unreadable, announced]) {
      assert.equal(await served.result(id), undefined);
      assert.equal(await served.status(id), undefined);
    }
    assert.match(stdout, new RegExp(`"level":"warning".*${unreadable} is left alone`));
    assert.match(stdout, /"jobs":0,"failed":0/);
  });

  test("ends a job that is cancelled while it waits for a device", async () => {
    const served = await emptyRepository();
    const { tree } = await TestDevices.create();
    const job = await served.addJob([jobVolume(0, MIB)]);
    const service = served.serve(["--sysfs", tree.sysfs, "--dev", tree.dev]);
    await served.waitForStatus(job.id, () => true);
    await requestCancel(served.repository.storage, job.id);
    const error = await served.errorOf(job.id);
    assert.equal(error.code, "Cancelled");
    await stopService(service);
  });

  test("that is stopped in a job leaves it without a result, for the next service", async () => {
    const served = await emptyRepository();
    const { tree } = await TestDevices.create();
    const job = await served.addJob([jobVolume(0, MIB)]);
    const options = ["--sysfs", tree.sysfs, "--dev", tree.dev];
    const service = served.serve(options);
    await served.waitForStatus(job.id, () => true);
    await stopService(service);
    assert.equal(await served.result(job.id), undefined);
    const last = (await served.status(job.id))?.sequence ?? 0;
    const next = served.serve(options);
    await served.waitForStatus(job.id, ({ sequence }) => sequence > last);
    await stopService(next);
  });

  rootTest(
    "cancelled while it reads keeps the stored data, makes no point, and does the next job",
    fullDepthOnly,
    seeded(async (random) => {
      const served = await emptyRepository();
      const devices = await TestDevices.create();
      const image = join(await tempFolder(), "disk.img");
      await writeRandomFile(image, 256 * MIB, random);
      await truncate(image, 2048 * MIB);
      const volume = jobVolume(0, 2048 * MIB);
      await devices.attachNvme("nvme1n1", serial(volume), image);
      const job = await served.addJob([volume], {
        options: { compression: "lz4", threads: 1, queueDepth: 1, badBlocks: "fail" },
      });
      const service = served.serve(devices.options);
      const status = await served.waitForStatus(job.id, ({ doneBytes }) => doneBytes > 0);
      assert.equal(status.state, "running");
      assert.equal(status.totalBytes, volume.sizeBytes);
      await requestCancel(served.repository.storage, job.id);
      assert.equal((await served.errorOf(job.id)).code, "Cancelled");
      assert.deepEqual(await pointIds(served.repo), []);
      await assertWhole(served.repo, "metadata");
      const next = await served.addJob([volume]);
      await served.pointOf(next.id);
      await stopService(service);
    }),
  );
});

describe("serve", () => {
  test("ends at once, with the reason, when the repository is missing or the command is wrong", async () => {
    const folder = await tempFolder();
    const repo = await newRepository(folder);
    const serve = ["serve", "--worker-id", WORKER];
    const missing = await agentFails(1, ...serve, "--repo", join(folder, "none"));
    assert.equal(missing.code, "RepositoryNotFound");
    for (const args of [
      serve,
      ["serve", "--worker-id", "web-1", "--repo", repo],
      [...serve, "--repo", repo, "--poll-interval", "0"],
      [...serve, "--repo", repo, "--status-interval", "soon"],
    ]) {
      assert.equal((await agentFails(2, ...args)).code, "Usage", args.join(" "));
    }
  });

  test("without --json logs lines for people on standard error", async () => {
    const served = await emptyRepository();
    const job = await served.addJob([jobVolume(0, MIB)]);
    const { code, stdout, stderr } = await agent(
      ...["serve", "--repo", served.repo, "--worker-id", WORKER, "--once", "--device-timeout=0.1"],
      ...(await TestDevices.create()).options,
    );
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`Waiting for jobs for ${WORKER}`));
    assert.match(stderr, new RegExp(`warning: ${job.id} failed: No device of`));
    assert.equal(stdout, "1 jobs done, 1 of them failed.\n");
  });
});
