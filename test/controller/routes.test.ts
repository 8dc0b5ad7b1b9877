import assert from "node:assert/strict";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import { launchWorker, type Population, populate, REPOSITORY, startLab } from "../lab/lab.js";
import type { LabResources } from "../lab/lab-control.js";
import { createKey } from "../lab/lab-keys.js";
import type { SourceInstance } from "../lab/source-instance.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { agentJson } from "../support/agent.js";
import { startController } from "../support/controller.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom } from "../support/random-files.js";
import { restoreTo } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { waitUntil } from "../support/wait-until.js";

const BACKUP_TIMEOUT_MS = 120_000;
const ACROSS = ["--source-profile", "source", "--worker-aws-profile", "worker"];

const lab = await startLab();
Object.assign(process.env, lab.env);
let population: Promise<Population> | undefined;

/** Made by the first test, as it takes root. */
function populated(): Promise<Population> {
  population ??= populate(lab);
  return population;
}

rootTest("a backup in the instance's account needs no sharing", async () => {
  const { defaultKey, sourceWorkerId } = await populated();
  await proveRoute(defaultKey, [
    ...["--source-profile", "source", "--worker-account", "source"],
    ...["--worker", sourceWorkerId],
  ]);
  assert.deepEqual(await callsOf("ModifySnapshotAttribute"), []);
});

rootTest("a backup across accounts shares what a customer's key encrypts", async () => {
  const { customerKey, sharedKey, workerId, workerKey } = await populated();
  const point = await proveRoute(customerKey, [
    ...ACROSS,
    ...["--worker", workerId, "--volume-key", workerKey],
  ]);
  assert.equal(point.instance?.instanceId, customerKey.instanceId);
  assert.deepEqual(
    point.volumes.map(({ ebs }) => ebs?.kmsKeyId),
    [sharedKey, sharedKey],
  );
});

rootTest("a backup across accounts by roles", async () => {
  const { customerKey, workerId } = await populated();
  const role = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;
  await proveRoute(customerKey, [
    ...["--source-role", role(lab.source.accountId, "blockferry-source")],
    ...["--worker-role", role(lab.worker.accountId, "blockferry-controller")],
    ...["--worker", workerId],
  ]);
});

rootTest("a backup of volumes with aws/ebs goes over a bridge key", async () => {
  const { defaultKey, bridgeKey, workerId } = await populated();
  await proveRoute(defaultKey, [...ACROSS, "--worker", workerId, "--bridge-key", bridgeKey]);
});

rootTest("a backup of volumes with aws/ebs is refused without one, and makes nothing", async () => {
  const { defaultKey, workerId } = await populated();
  const existing = await lab.control.resources();
  const { code, stdout } = await startBackup(defaultKey, [...ACROSS, "--worker", workerId]).result;
  assert.equal(code, 1);
  for (const { volumeId } of defaultKey.volumes) assert.match(stdout, new RegExp(volumeId));
  assert.match(stdout, /--worker-account source/);
  assert.match(stdout, /--bridge-key/);
  assert.deepEqual(await lab.control.resources(), existing);
});

rootTest("a backup of unencrypted volumes reads encrypted ones", async () => {
  const { unencrypted, workerId } = await populated();
  await lab.control.clearRequests();
  await proveRoute(unencrypted, [...ACROSS, "--worker", workerId]);
  const created = await callsOf("CreateVolume");
  assert.equal(created.length, 2);
  assert.ok(created.every(({ Encrypted }) => Encrypted === "true"));
});

rootTest("a backup across Regions copies the snapshots under a key of the worker's", async () => {
  const { customerKey } = await populated();
  const bridgeKey = await createKey(lab.source.in("eu-west-1"), [lab.worker.accountId]);
  const worker = await launchWorker(lab, lab.worker.in("eu-west-1"));
  await proveRoute(customerKey, [
    ...ACROSS,
    ...["--worker", worker, "--worker-region", "eu-west-1", "--bridge-key", bridgeKey],
  ]);
});

for (const [what, excluded] of [
  ["the root volume, by its id", 0],
  ["a data volume", 1],
] as const) {
  rootTest(`a backup without ${what} has the others alone`, async () => {
    const { customerKey, workerId } = await populated();
    const volumes = customerKey.volumes.filter((_, number) => number !== excluded);
    const id = customerKey.volumes[excluded]?.volumeId ?? "";
    const options = [...ACROSS, "--worker", workerId, "--exclude-volume", id];
    const point = await proveRoute({ ...customerKey, volumes }, options);
    assert.equal(point.volumes.length, volumes.length);
  });
}

rootTest("a backup by a worker launched for it leaves no worker behind", async () => {
  const { customerKey } = await populated();
  const image = await registerWorkerImage(lab.worker);
  await proveRoute(customerKey, [
    ...ACROSS,
    ...["--worker-ami", image, "--worker-subnet", await defaultSubnet(lab.worker)],
    ...["--worker-type", "m5.large", "--worker-profile", "blockferry-agent"],
  ]);
  const [launched] = await callsOf("RunInstances");
  assert.equal(launched?.["MetadataOptions.HttpTokens"], "required");
  assert.equal(launched?.KeyName, undefined);
});

/**
 * Backs an instance up while its disks are written to, and proves that every volume restores as it was when the snapshots were
 * taken, and that nothing is left. @returns the recovery point
 */
async function proveRoute(instance: SourceInstance, options: string[]): Promise<RecoveryPoint> {
  const existing = await lab.control.resources();
  await lab.control.clearRequests();
  const copies = await Promise.all(instance.volumes.map(({ disk }) => copied(disk)));
  const { result } = startBackup(instance, options);
  await writeAfterSnapshot(instance, result);
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const { point: pointId } = JSON.parse(stdout) as { point: string };
  const point = await agentJson<RecoveryPoint>("show", pointId, "--repo", REPOSITORY);
  await assertRestores(point, instance, copies);
  await Promise.all(copies.map((copy) => rm(copy)));
  assert.deepEqual(withoutProcesses(await lab.control.resources()), withoutProcesses(existing));
  return point;
}

function startBackup({ instanceId }: SourceInstance, options: string[]) {
  return startController(["backup", "--repo", REPOSITORY, "--instance", instanceId, "--json", ...options]);
}

/** What is written after the snapshots must not be in the backup. */
async function writeAfterSnapshot(instance: SourceInstance, backup: Promise<unknown>): Promise<void> {
  let isOver = false;
  void backup.finally(() => {
    isOver = true;
  });
  const isTaken = async () => isOver || (await callsOf("CreateSnapshots")).length > 0;
  await waitUntil("the snapshots to be taken", isTaken, BACKUP_TIMEOUT_MS);
  const random = SeededRandom.fresh();
  for (const { disk } of instance.volumes) await overwriteAtRandom(disk, 1024 * 1024, 256 * 1024, random);
}

/** Parameters of the calls of an action that were no dry runs. */
async function callsOf(action: string): Promise<Record<string, unknown>[]> {
  const requests = await lab.control.requests();
  return requests
    .filter((request) => request.action === action && request.parameters.DryRun !== "true")
    .map(({ parameters }) => parameters);
}

async function copied(disk: string): Promise<string> {
  const copy = join(lab.folder, `copy-of-${disk.split("/").at(-1)}`);
  await copyFile(disk, copy);
  return copy;
}

async function assertRestores(point: RecoveryPoint, { volumes }: SourceInstance, expected: string[]) {
  const targets = point.volumes.map(({ name }) => join(lab.folder, `restored-${name}.img`));
  const named = point.volumes.map(({ name }, number) => `${name}=${targets[number]}`);
  await restoreTo(REPOSITORY, point.id, named);
  for (const [number, { volumeId }] of volumes.entries()) {
    const restored = point.volumes.findIndex(({ ebs }) => ebs?.volumeId === volumeId);
    await runTool("cmp", expected[number] as string, targets[restored] as string);
  }
  await Promise.all(targets.map((target) => rm(target)));
}

/** Loop devices may have other numbers when their volumes are attached again. */
function withoutProcesses({ agents, loopDevices, ...resources }: LabResources) {
  return { ...resources, agents: Object.keys(agents), loopDevices: Object.keys(loopDevices) };
}
