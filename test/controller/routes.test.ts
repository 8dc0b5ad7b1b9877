import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CreateSecurityGroupCommand } from "@aws-sdk/client-ec2";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import type { BackupFigures } from "../../report/backup-figures.js";
import { figuresOf } from "../../report/page.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { jobKey } from "../../repository/jobs/job-key.js";
import type { Reliance } from "../../repository/jobs/job-replies.js";
import { launchWorker, type Population, populate, REPOSITORY, startLab } from "../lab/lab.js";
import { createKey } from "../lab/lab-keys.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { controller } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { someFigures } from "../support/figures.js";
import { rootTest } from "../support/root-test.js";
import { callsOf, proveRestore, proveRoute, startBackup, withoutProcesses } from "./prove-route.js";

const ELSEWHERE = "eu-west-1";
const ACROSS = ["--source-profile", "source", "--worker-aws-profile", "worker"];

const lab = await startLab();
Object.assign(process.env, lab.env, { BLOCKFERRY_POLL_MS: "100" });
let population: Promise<Population> | undefined;
let remoteWorker: Promise<string> | undefined;

/** Called by the first test, because it needs root. */
function populated(): Promise<Population> {
  population ??= populate(lab);
  return population;
}

/** Makes the same, with a worker in another Region of the worker's account. */
async function populatedElsewhere() {
  const made = await populated();
  remoteWorker ??= launchWorker(lab, lab.worker.in(ELSEWHERE));
  return { ...made, remoteWorker: await remoteWorker };
}

rootTest("a backup in the instance's account needs no sharing", fullDepthOnly, async () => {
  const { defaultKey, sourceWorkerId } = await populated();
  await proveRoute(lab, defaultKey, [
    ...["--source-profile", "source", "--worker-account", "source"],
    ...["--worker", sourceWorkerId],
  ]);
  assert.deepEqual(await callsOf(lab, "ModifySnapshotAttribute"), []);
});

interface BackupResult {
  point: string;
  job: string;
  reliance: Reliance;
}

rootTest(
  "a backup with --report writes a page about the agent's work, and resume writes a missing one",
  fullDepthOnly,
  async () => {
    const { defaultKey, sourceWorkerId } = await populated();
    const [page, again, none] = ["page", "again", "none"].map((name) => join(lab.folder, `${name}.html`));
    assert.ok(page !== undefined && again !== undefined && none !== undefined);
    const { code, stdout, stderr } = await startBackup(defaultKey, [
      ...["--source-profile", "source", "--worker-account", "source"],
      ...["--worker", sourceWorkerId, "--report", page],
    ]).result;
    assert.equal(code, 0, stdout + stderr);
    const { point, job, reliance } = JSON.parse(stdout) as BackupResult;
    assert.equal(typeof reliance.unreadBytes, "number");
    const figures = figuresOf(await readFile(page, "utf8")) as BackupFigures;
    assert.deepEqual([figures.point, figures.machine], [point, defaultKey.instanceId]);
    assert.equal(figures.volumes.length, defaultKey.volumes.length);
    assert.ok(figures.timeline.length > 0);
    assert.equal((await stat(page)).mode & 0o777, 0o600);

    const resume = async (path: string) => {
      const args = ["resume", job, "--repo", REPOSITORY, "--source-profile", "source", "--json"];
      const resumed = await controller([...args, "--report", path]);
      assert.equal(resumed.code, 0, resumed.stderr);
      assert.deepEqual(
        [JSON.parse(resumed.stdout).point, JSON.parse(resumed.stdout).reliance],
        [point, reliance],
      );
      return resumed.stderr;
    };
    assert.equal(await resume(again), "");
    assert.equal(await readFile(again, "utf8"), await readFile(page, "utf8"));

    const { hostname: Bucket, pathname } = new URL(REPOSITORY);
    const forged = { Bucket, Key: `${pathname.slice(1)}/${jobKey(job, "figures")}` };
    const Body = sealJson(someFigures("20200101T000000Z-00000000"));
    await lab.worker.s3.send(new PutObjectCommand({ ...forged, Body }));
    assert.match(
      await resume(none),
      /note: the report could not be written: .* is not about recovery point .*blockferry resume job-/s,
    );
    await lab.worker.s3.send(new DeleteObjectCommand(forged));
    assert.match(await resume(none), /note: no report: the agent left no figures/);
    await assert.rejects(stat(none), { code: "ENOENT" });
  },
);

rootTest("a backup across accounts shares snapshots that a customer's key encrypts", async () => {
  const { customerKey, sharedKey, workerId, workerKey } = await populated();
  const point = await proveRoute(lab, customerKey, [
    ...ACROSS,
    ...["--worker", workerId, "--volume-key", workerKey],
  ]);
  assert.equal(point.instance?.instanceId, customerKey.instanceId);
  assert.deepEqual(
    point.volumes.map(({ ebs }) => ebs?.kmsKeyId),
    [sharedKey, sharedKey],
  );
});

rootTest("a backup across accounts by roles", fullDepthOnly, async () => {
  const { customerKey, workerId } = await populated();
  const role = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;
  await proveRoute(lab, customerKey, [
    ...["--source-role", role(lab.source.accountId, "blockferry-source")],
    ...["--worker-role", role(lab.worker.accountId, "blockferry-controller")],
    ...["--worker", workerId],
  ]);
});

rootTest("a backup of volumes with aws/ebs goes over a bridge key", fullDepthOnly, async () => {
  const { defaultKey, bridgeKey, workerId } = await populated();
  await proveRoute(lab, defaultKey, [...ACROSS, "--worker", workerId, "--bridge-key", bridgeKey]);
});

rootTest(
  "a backup of volumes with aws/ebs is refused without one, and makes nothing",
  fullDepthOnly,
  async () => {
    const { defaultKey, workerId } = await populated();
    const existing = await lab.control.resources();
    const { code, stdout } = await startBackup(defaultKey, [...ACROSS, "--worker", workerId]).result;
    assert.equal(code, 1);
    for (const { volumeId } of defaultKey.volumes) assert.match(stdout, new RegExp(volumeId));
    assert.match(stdout, /--worker-account source/);
    assert.match(stdout, /--bridge-key/);
    assert.deepEqual(await lab.control.resources(), existing);
  },
);

rootTest("a backup of unencrypted volumes reads encrypted ones", fullDepthOnly, async () => {
  const { unencrypted, workerId } = await populated();
  await lab.control.clearRequests();
  await proveRoute(lab, unencrypted, [...ACROSS, "--worker", workerId]);
  const created = await callsOf(lab, "CreateVolume");
  assert.equal(created.length, 2);
  assert.ok(created.every(({ Encrypted }) => Encrypted === "true"));
});

rootTest(
  "a backup across accounts and Regions copies the snapshots under a key of the worker's",
  fullDepthOnly,
  async () => {
    const { customerKey, remoteWorker } = await populatedElsewhere();
    const bridgeKey = await createKey(lab.source.in(ELSEWHERE), [lab.worker.accountId]);
    const there = [...ACROSS, "--worker", remoteWorker, "--worker-region", ELSEWHERE];
    await proveRoute(lab, customerKey, [...there, "--bridge-key", bridgeKey]);
    assert.equal((await callsOf(lab, "CopySnapshot")).length, customerKey.volumes.length);
  },
);

rootTest(
  "a backup across accounts and Regions without a bridge key copies the shared snapshots",
  fullDepthOnly,
  async () => {
    const { customerKey, remoteWorker } = await populatedElsewhere();
    await proveRoute(lab, customerKey, [
      ...ACROSS,
      ...["--worker", remoteWorker, "--worker-region", ELSEWHERE],
    ]);
    assert.ok((await callsOf(lab, "ModifySnapshotAttribute")).length > 0);
    assert.equal((await callsOf(lab, "CopySnapshot")).length, customerKey.volumes.length);
  },
);

rootTest(
  "a backup to another Region of one account copies the snapshots, and shares nothing",
  fullDepthOnly,
  async () => {
    const { defaultKey } = await populated();
    const worker = await launchWorker(lab, lab.source.in(ELSEWHERE));
    await proveRoute(lab, defaultKey, [
      ...["--source-profile", "source", "--worker-account", "source"],
      ...["--worker", worker, "--worker-region", ELSEWHERE],
    ]);
    assert.deepEqual(await callsOf(lab, "ModifySnapshotAttribute"), []);
    assert.equal((await callsOf(lab, "CopySnapshot")).length, defaultKey.volumes.length);
  },
);

for (const [what, excluded] of [
  ["the root volume, by its id", 0],
  ["a data volume", 1],
] as const) {
  rootTest(`a backup without ${what} has the others alone`, fullDepthOnly, async () => {
    const { customerKey, workerId } = await populated();
    const volumes = customerKey.volumes.filter((_, number) => number !== excluded);
    const id = customerKey.volumes[excluded]?.volumeId ?? "";
    const options = [...ACROSS, "--worker", workerId, "--exclude-volume", id];
    const point = await proveRoute(lab, { ...customerKey, volumes }, options);
    assert.equal(point.volumes.length, volumes.length);
  });
}

rootTest("a backup by a worker launched for it leaves no worker behind", fullDepthOnly, async () => {
  const { customerKey } = await populated();
  const image = await registerWorkerImage(lab.worker);
  await proveRoute(lab, customerKey, [
    ...ACROSS,
    ...["--worker-ami", image, "--worker-subnet", await defaultSubnet(lab.worker)],
    ...["--worker-type", "m5.large", "--worker-profile", "blockferry-agent"],
  ]);
  const [launched] = await callsOf(lab, "RunInstances");
  assert.equal(launched?.["MetadataOptions.HttpTokens"], "required");
  assert.equal(launched?.KeyName, undefined);
});

rootTest(
  "a backup creates its volumes and its worker as the options say, and keeps the snapshots if asked to",
  fullDepthOnly,
  async () => {
    const { defaultKey } = await populated();
    const existing = withoutProcesses(await lab.control.resources());
    const { GroupId = "" } = await lab.source.ec2.send(
      new CreateSecurityGroupCommand({ GroupName: "blockferry-worker", Description: "Nothing comes in" }),
    );
    await proveRestore(lab, defaultKey, [
      ...["--source-profile", "source", "--worker-account", "source", "--keep-snapshot"],
      ...["--volume-type", "gp3", "--iops", "4000", "--throughput", "250", "--initialization-rate", "200"],
      ...["--worker-ami", await registerWorkerImage(lab.source), "--worker-security-group", GroupId],
      ...["--worker-subnet", await defaultSubnet(lab.source), "--worker-type", "m5.large"],
      ...["--worker-profile", "blockferry-agent"],
    ]);
    const created = await callsOf(lab, "CreateVolume");
    const asked = created.map(({ VolumeType, Iops, Throughput, VolumeInitializationRate }) => {
      return { VolumeType, Iops, Throughput, VolumeInitializationRate };
    });
    const wanted = { VolumeType: "gp3", Iops: "4000", Throughput: "250", VolumeInitializationRate: "200" };
    assert.deepEqual(asked, [wanted, wanted]);
    const [launched] = await callsOf(lab, "RunInstances");
    assert.equal(launched?.["NetworkInterface.1.SecurityGroupId.1"], GroupId);
    const { snapshots, disks, ...others } = withoutProcesses(await lab.control.resources());
    const kept = snapshots.filter(({ id }) => !existing.snapshots.some((before) => before.id === id));
    assert.deepEqual(
      kept.map(({ account, region, state, tags }) => [account, region, state, tags["blockferry:role"]]),
      defaultKey.volumes.map(() => [lab.source.accountId, lab.source.region, "completed", "snapshot"]),
    );
    const { snapshots: _, disks: __, ...othersBefore } = existing;
    assert.deepEqual(others, othersBefore);
    assert.deepEqual(new Set(disks), new Set([...existing.disks, ...kept.map(({ id }) => id)]));
  },
);
