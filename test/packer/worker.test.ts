import assert from "node:assert/strict";
import { access, appendFile, mkdir, readFile, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { before, describe } from "node:test";
import { newJobId, writeJob } from "../../repository/jobs/job.js";
import { agentJson } from "../support/agent.js";
import { BootedWorker } from "../support/booted-worker.js";
import { fullDepthOnly } from "../support/depth.js";
import { TestDevices } from "../support/device-tree.js";
import { writeMixedImage } from "../support/images.js";
import { newMacKey, signedBy } from "../support/job-keys.js";
import { jobVolume, makeJob, WORKER } from "../support/jobs.js";
import { startMetadataServer } from "../support/metadata-server.js";
import { newRepository } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { S3_ENVIRONMENT, startS3Server } from "../support/s3-server.js";
import { seeded } from "../support/seeded.js";
import { ServedRepository } from "../support/served-repository.js";
import { tempFolder } from "../support/temp-folder.js";
import { WorkerRoot } from "../support/worker-root.js";

const MIB = 1024 * 1024;
const UNIT = "blockferry-agent.service";
/** Options for the paths of the test's devices in the booted worker. */
const DEVICES = "--poll-interval 0.1 --sysfs /srv/sys --dev /srv/dev";
const METRICS = ["/var/lib/blockferry/agent.prom", "/var/lib/blockferry/metrics.log"] as const;
const SERVE_OPTIONS = `${DEVICES} --metrics-file ${METRICS[0]} --emf-file ${METRICS[1]}`;

describe("a worker made by packer/provision.sh", fullDepthOnly, async () => {
  const folder = await tempFolder();
  const { endpointUrl } = await startS3Server("moto");
  const jobKey = await newMacKey();
  let root: WorkerRoot;

  before(async () => {
    root = await WorkerRoot.create(join(folder, "root"));
  });

  rootTest("is not made with a Node.js whose hash is another", async () => {
    const { code, stderr } = await root.provision({ NODE_SHA256: "0".repeat(64) });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /\/node\.tar has not the SHA-256 0{64}/);
    await assert.rejects(access(root.file("/opt/node")), "nothing of it was unpacked");
  });

  rootTest("has both command lines on Node.js 24, and no compiler", async () => {
    const fields = { JOBS: "backup-only", JOB_KEY: jobKey, REPLY_KEY: jobKey, SERVE_OPTIONS };
    const { code, stdout, stderr } = await root.provision(fields);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    const { version } = JSON.parse(await readFile("package.json", "utf8"));
    for (const program of ["blockferry-agent", "blockferry"]) {
      const printed = await root.run(program, ["--version"]);
      assert.equal(printed.stdout.trim(), version, printed.stderr);
    }
    assert.match((await root.run("node", ["--version"])).stdout, /^v24\./);
    for (const tool of ["g++", "make", "python3"]) {
      assert.notEqual((await root.run("sh", ["-c", `command -v ${tool}`])).code, 0, tool);
    }
    await assert.rejects(access(root.file("/payload")), "what was uploaded is gone");
  });

  rootTest(
    "has a bill of materials: every package that it runs, with version and hash, and no other",
    async () => {
      const { components } = JSON.parse(
        await readFile(root.file("/opt/blockferry/sbom.cdx.json"), "utf8"),
      ) as {
        components: { name: string; version: string; hashes?: unknown[] }[];
      };
      const { dependencies } = JSON.parse(await readFile("package.json", "utf8"));
      const names = components.map(({ name }) => name);
      for (const name of [...Object.keys(dependencies), "@smithy/core"])
        assert.ok(names.includes(name), name);
      for (const { name, version, hashes = [] } of components) {
        assert.match(version, /^\d+\.\d+\.\d+/, name);
        assert.ok(hashes.length > 0, name);
      }
      assert.ok(!names.includes("typescript"), "nothing that only developers need");
    },
  );

  rootTest("can be reached by no SSH, and is a machine of its own", async () => {
    for (const unit of ["ssh.service", "ssh.socket", "sshd.service"]) {
      const { stdout } = await root.run("systemctl", ["is-enabled", unit]);
      assert.equal(stdout.trim(), "masked", unit);
    }
    assert.equal(await readFile(root.file("/etc/machine-id"), "utf8"), "");
  });

  rootTest("assembles and mounts nothing of the volumes that are attached to it", async () => {
    const units = [
      ...["lvm2-monitor.service", "lvm2-pvscan@.service", "dm-event.socket", "mdmonitor.service"],
      ...["mdadm-last-resort@.timer", "multipathd.service", "multipathd.socket", "udisks2.service"],
    ];
    for (const unit of units) {
      const { stdout } = await root.run("systemctl", ["is-enabled", unit]);
      assert.equal(stdout.trim(), "masked", unit);
    }
    for (const rule of [
      "63-md-raid-arrays",
      "64-md-raid-assembly",
      "69-dm-lvm",
      "64-btrfs",
      "60-multipath",
    ]) {
      assert.equal(await readlink(root.file(`/etc/udev/rules.d/${rule}.rules`)), "/dev/null", rule);
    }
    const lvm = await readFile(root.file("/etc/lvm/lvmlocal.conf"), "utf8");
    assert.match(lvm, /^ {2}global_filter = \[ "r\|\.\*\|" \]$/m);
    assert.match(lvm, /^ {2}use_devicesfile = 1$/m);
    assert.match(lvm, /^ {2}event_activation = 0$/m);
    assert.equal(await readFile(root.file("/etc/lvm/devices/system.devices"), "utf8"), "");
    for (const path of ["/etc/mdadm.conf", "/etc/mdadm/mdadm.conf"]) {
      assert.equal(await readFile(root.file(path), "utf8"), "AUTO -all\n", path);
    }
    const settings = await readFile(root.file("/etc/sysctl.d/90-blockferry.conf"), "utf8");
    assert.match(settings, /^fs\.protected_symlinks=1$/m);
  });

  rootTest("has the job key and the options of its image", async () => {
    const settings = await readFile(root.file("/etc/blockferry/agent.env"), "utf8");
    assert.equal(
      settings,
      `BLOCKFERRY_JOB_KEY=${jobKey}\nBLOCKFERRY_REPLY_KEY=${jobKey}\nSERVE_OPTIONS="${SERVE_OPTIONS}"\n`,
    );
  });

  rootTest("has a service that systemd takes, and that is exposed by less than 3.0", async () => {
    const { code, stderr } = await root.run("systemd-analyze", ["verify", UNIT]);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /blockferry/);
    const file = `/etc/systemd/system/${UNIT}`;
    const security = ["security", "--offline=yes", "--threshold=30", "--no-pager", file];
    const judged = await root.run("systemd-analyze", security);
    console.log(/Overall exposure level.*/.exec(judged.stdout)?.[0]);
    assert.equal(judged.code, 0, judged.stdout);
  });

  rootTest(
    "backs up an image, and restores it bit for bit",
    seeded(async (random) => {
      await writeMixedImage(root.file("/disk.img"), 24 * MIB + 512, random);
      for (const args of [
        ["init", "--repo", "/repo"],
        ["backup", "--repo", "/repo", "--device", "/disk.img=disk"],
        ["restore", "--repo", "/repo", "--point", "latest", "--target", "disk=/restored.img"],
        ["verify", "--repo", "/repo", "--read-data"],
      ]) {
        const { code, stderr } = await root.run("blockferry-agent", args);
        assert.equal(code, 0, `${args[0]}\n${stderr}`);
      }
      await runTool("cmp", root.file("/disk.img"), root.file("/restored.img"));
    }),
  );

  rootTest(
    "serves signed jobs as soon as it is booted, without capabilities, within the agent's limits, and writes where it may",
    seeded(async (random) => {
      const devices = await TestDevices.create();
      const [source, blank] = [join(folder, "source.img"), join(folder, "blank.img")];
      await writeMixedImage(source, 16 * MIB, random);
      await writeFile(blank, "");
      await truncate(blank, 16 * MIB);
      const [full, empty] = [jobVolume(0, 16 * MIB), jobVolume(1, 16 * MIB)];
      const loops = [
        await devices.attachNvme("nvme1n1", full.volumeId.replace("-", ""), source),
        await devices.attachNvme("nvme2n1", empty.volumeId.replace("-", ""), blank),
      ];

      const state = root.file("/var/lib/blockferry");
      await mkdir(state);
      const repo = await newRepository(state);
      const backup = ["backup", "--repo", repo, "--device", `${source}=${empty.name}`];
      const { point } = await agentJson<{ point: string }>(...backup);
      const served = await ServedRepository.open(repo);
      const { config, storage } = served.repository;
      const signing = signedBy(jobKey, config);
      const unsigned = await served.addJob([full]);
      const backupJob = makeJob(config.id, [full]);
      await writeJob(storage, backupJob, signing);
      const { origin: _, ...target } = empty;
      const { tags: __, instance: ___, ...common } = backupJob;
      const addRestore = async () => {
        const id = newJobId(new Date());
        const job = { id, point, volumes: [target], options: { threads: null } };
        await writeJob(storage, { ...common, ...job, kind: "restore" }, signing);
        await runTool("chroot", root.path, "chown", "-R", "blockferry:", "/var/lib/blockferry");
        return id;
      };
      const forbidden = await addRestore();

      const inside = `/var/lib/blockferry/${basename(repo)}`;
      const { env } = await startMetadataServer({
        instanceId: WORKER,
        userData: JSON.stringify({ blockferry: { repo: inside } }),
      });
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION } = S3_ENVIRONMENT;
      const settings = root.file("/etc/blockferry/agent.env");
      await appendFile(
        settings,
        [
          `AWS_EC2_METADATA_SERVICE_ENDPOINT=${env.AWS_EC2_METADATA_SERVICE_ENDPOINT}`,
          `AWS_ENDPOINT_URL=${endpointUrl}\nAWS_REGION=${AWS_REGION}`,
          `AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID}\nAWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}`,
          "VOLUMES=40\nDATA=1T\n",
        ].join("\n"),
      );
      // The test's devices are not NVMe devices. They are allowed before backup-only.conf, and allowed for
      // reading again after it.
      const dropIn = (name: string) => root.file(`/etc/systemd/system/${UNIT}.d/${name}.conf`);
      await writeFile(dropIn("allow"), "[Service]\nDeviceAllow=block-loop rw\n");
      await writeFile(dropIn("read"), "[Service]\nDeviceAllow=block-loop r\n");
      await appendFile(
        root.file("/etc/tmpfiles.d/loops.conf"),
        loops.map((loop) => `b ${loop} 660 root disk - 7:${loop.replace(/\D/g, "")}\n`).join(""),
      );

      const { sysfs, dev } = devices.tree;
      const worker = await BootedWorker.boot(root, [`${sysfs}:/srv/sys`, `${dev}:/srv/dev`]);
      await served.pointOf(backupJob.id);
      assert.equal((await served.errorOf(unsigned.id)).code, "JobUnsigned");
      const denied = await served.errorOf(forbidden);
      assert.equal(denied.code, "TargetNotUsable");
      assert.match(denied.message, /EPERM/);
      await runTool("cmp", "--bytes", String(16 * MIB), blank, "/dev/zero");

      const pid = await worker.property(UNIT, "MainPID");
      const status = await worker.run("cat", `/proc/${pid}/status`);
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, /^CapBnd:\t0+$/m);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, /^Seccomp:\t2$/m);
      assert.equal(await worker.run("stat", "--format=%U", `/proc/${pid}`), "blockferry");
      const limits = await worker.run("blockferry-agent", "limits", "--volumes=40", "--data=1T");
      assert.ok(limits.includes(`MemoryMax=${await worker.property(UNIT, "MemoryMax")}`), limits);
      const environment = (await worker.run("cat", `/proc/${pid}/environ`)).split("\0");
      const threads = environment.find((variable) => variable.startsWith("UV_THREADPOOL_SIZE="));
      assert.equal(threads, limits.split("\n")[0]);

      // As in an image with jobs=backup-and-restore, and with a wrong setting.
      await worker.run("systemctl", "stop", UNIT);
      for (const name of ["backup-only", "read"]) await rm(dropIn(name));
      await appendFile(settings, "VOLUMES=many\n");
      const restoreJob = await addRestore();
      await worker.run("systemctl", "daemon-reload");
      await worker.run("systemctl", "start", UNIT);
      assert.equal(await served.pointOf(restoreJob), point);
      await runTool("cmp", source, blank);
      for (const file of METRICS) {
        const read = await worker.run("setpriv", "--reuid=nobody", "--clear-groups", "cat", file);
        assert.match(read, /restore/, `${file} is for its collector`);
      }
      const usual = await worker.run("blockferry-agent", "limits");
      assert.ok(usual.includes(`MemoryMax=${await worker.property(UNIT, "MemoryMax")}`), usual);
      const journal = await worker.run("journalctl", "--unit", UNIT, "--no-pager");
      assert.match(journal, /--volumes must be a whole number/);
      assert.match(journal, /VOLUMES=many and DATA=1T of .* are left out/);
    }),
  );
});
