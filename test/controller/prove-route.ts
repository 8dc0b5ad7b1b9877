import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { type Lab, REPOSITORY } from "../lab/lab.js";
import type { LabResources } from "../lab/lab-control.js";
import type { SourceInstance } from "../lab/source-instance.js";
import { agentJson } from "../support/agent.js";
import { startController } from "../support/controller.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom } from "../support/random-files.js";
import { restoreTo } from "../support/repositories.js";
import { runTool } from "../support/run-tool.js";
import { assertSameSparse } from "../support/same-content.js";
import { waitUntil } from "../support/wait-until.js";

const BACKUP_TIMEOUT_MS = 120_000;

/**
 * Backs up an instance during writes to its disks. Asserts that every volume restores to its state at the
 * snapshots, and that no resources are left.
 * @returns the recovery point
 */
export async function proveRoute(
  lab: Lab,
  instance: SourceInstance,
  options: string[],
): Promise<RecoveryPoint> {
  const existing = withoutProcesses(await lab.control.resources());
  const point = await proveRestore(lab, instance, options);
  assert.deepEqual(withoutProcesses(await lab.control.resources()), existing);
  return point;
}

/** Asserts the same, except that resources may be left. */
export async function proveRestore(
  lab: Lab,
  instance: SourceInstance,
  options: string[],
): Promise<RecoveryPoint> {
  await lab.control.clearRequests();
  const copies = await Promise.all(instance.volumes.map(({ disk }) => copied(lab, disk)));
  const { result } = startBackup(instance, options);
  await writeAfterSnapshot(lab, instance, result);
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const { point: pointId } = JSON.parse(stdout) as { point: string };
  const point = await agentJson<RecoveryPoint>("show", pointId, "--repo", REPOSITORY);
  await assertRestores(lab, point, instance, copies);
  await Promise.all(copies.map((copy) => rm(copy)));
  return point;
}

export function startBackup({ instanceId }: SourceInstance, options: string[]) {
  return startController(["backup", "--repo", REPOSITORY, "--instance", instanceId, "--json", ...options]);
}

/** Writes after the snapshots; these writes must not be in the backup. */
async function writeAfterSnapshot(
  lab: Lab,
  instance: SourceInstance,
  backup: Promise<unknown>,
): Promise<void> {
  let isOver = false;
  void backup.finally(() => {
    isOver = true;
  });
  const isTaken = async () => isOver || (await callsOf(lab, "CreateSnapshots")).length > 0;
  await waitUntil("the snapshots to be taken", isTaken, BACKUP_TIMEOUT_MS);
  const random = SeededRandom.fresh();
  for (const { disk } of instance.volumes) await overwriteAtRandom(disk, 1024 * 1024, 256 * 1024, random);
}

/** Returns the parameters of the calls of an action, without dry runs. */
export async function callsOf(lab: Lab, action: string): Promise<Record<string, unknown>[]> {
  const requests = await lab.control.requests();
  return requests
    .filter((request) => request.action === action && request.parameters.DryRun !== "true")
    .map(({ parameters }) => parameters);
}

async function copied(lab: Lab, disk: string): Promise<string> {
  const copy = join(lab.folder, `copy-of-${disk.split("/").at(-1)}`);
  await runTool("cp", "--sparse=always", disk, copy);
  return copy;
}

async function assertRestores(
  lab: Lab,
  point: RecoveryPoint,
  { volumes }: SourceInstance,
  expected: string[],
) {
  const targets = point.volumes.map(({ name }) => join(lab.folder, `restored-${name}.img`));
  const named = point.volumes.map(({ name }, number) => `${name}=${targets[number]}`);
  await restoreTo(REPOSITORY, point.id, named);
  for (const [number, { volumeId }] of volumes.entries()) {
    const restored = point.volumes.findIndex(({ ebs }) => ebs?.volumeId === volumeId);
    await assertSameSparse(targets[restored] as string, expected[number] as string);
  }
  await Promise.all(targets.map((target) => rm(target)));
}

/** Loop devices may have other numbers after their volumes are attached again. */
export function withoutProcesses({ agents, loopDevices, ...resources }: LabResources) {
  return { ...resources, agents: Object.keys(agents), loopDevices: Object.keys(loopDevices) };
}
