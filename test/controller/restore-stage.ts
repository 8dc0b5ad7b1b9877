import assert from "node:assert/strict";
import { join } from "node:path";
import { CreateTagsCommand, type Volume } from "@aws-sdk/client-ec2";
import { type Lab, launchWorker, makeRepository, REPOSITORY, startLab } from "../lab/lab.js";
import type { LabResources } from "../lab/lab-control.js";
import { createKey } from "../lab/lab-keys.js";
import { launchSource, type SourceInstance } from "../lab/source-instance.js";
import { describeVolume } from "../lab/waits.js";
import { startController } from "../support/controller.js";
import { SeededRandom } from "../support/random.js";
import { assertSameSparse } from "../support/same-content.js";
import type { RunningProgram } from "../support/start-program.js";

export const WITHIN = ["--source-profile", "source", "--worker-account", "source"];
export const ACROSS = ["--source-profile", "source", "--worker-aws-profile", "worker"];
const QUICK = {
  BLOCKFERRY_POLL_MS: "50",
  BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200",
  BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "6000",
};

/** A lab with an instance that is backed up, and workers in both accounts. */
export interface RestoreStage {
  lab: Lab;
  instance: SourceInstance;
  point: string;
  sourceWorker: string;
  worker: string;
  /** Key of the worker's account that the source account may use. */
  workerKey: string;
}

export interface Restored {
  job: string;
  point: string;
  volumes: { name: string; volumeId: string; device?: string | null }[];
  instanceId?: string;
}

let opened: Promise<RestoreStage> | undefined;
const lab = await startLab();

/** Called by the first test, because it needs root. */
export function restoreStage(): Promise<RestoreStage> {
  opened ??= open();
  return opened;
}

async function open(): Promise<RestoreStage> {
  await lab.control.change({ latencyMs: 50 });
  const { source, worker } = lab;
  const instance = await launchSource(source, lab.folder, "aws/ebs", SeededRandom.fresh());
  const data = instance.volumes[1]?.volumeId ?? "";
  const tags = [
    { Key: "Name", Value: "orders" },
    { Key: "stage", Value: "production" },
  ];
  await source.ec2.send(new CreateTagsCommand({ Resources: [data], Tags: tags }));
  await makeRepository(lab);
  const sourceWorker = await launchWorker(lab, source);
  const backup = ["backup", "--instance", instance.instanceId, ...WITHIN, "--worker", sourceWorker];
  const { point } = JSON.parse(await succeed(start(...backup))) as { point: string };
  return {
    ...{ lab, instance, point, sourceWorker, worker: await launchWorker(lab, worker) },
    workerKey: await createKey(worker, [source.accountId]),
  };
}

/** Starts the controller in the lab. */
export function start(...args: string[]): RunningProgram {
  return startWith({}, ...args);
}

export function startWith(env: NodeJS.ProcessEnv, ...args: string[]): RunningProgram {
  return startController([...args, "--repo", REPOSITORY, "--json"], { ...lab.env, ...QUICK, ...env });
}

/** Waits for success. @returns the output */
export async function succeed({ result }: RunningProgram): Promise<string> {
  const { code, stdout, stderr } = await result;
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/**
 * Asserts that each restored volume equals the instance's volume of its name. Compares content and
 * properties.
 */
export async function assertRestored(
  { instance }: RestoreStage,
  volumes: Restored["volumes"],
): Promise<void> {
  for (const { name, volumeId } of volumes) {
    const original = originalOf(instance, name);
    const [was, is] = await Promise.all([
      describeVolume(lab.source, original.volumeId),
      describeVolume(lab.source, volumeId),
    ]);
    assert.notEqual(volumeId, original.volumeId);
    await assertSameContent(volumeId, original.disk);
    assert.deepEqual(looks(is), looks(was));
  }
}

export function originalOf({ volumes }: SourceInstance, name: string): SourceInstance["volumes"][number] {
  const found = volumes.find(
    ({ attachName }) => attachName === (name === "root" ? "/dev/sda1" : `/dev/${name}`),
  );
  assert.ok(found !== undefined, name);
  return found;
}

/**
 * Asserts that a volume or snapshot has the content of a disk.
 * @param id of a volume that is not attached, or of a snapshot
 */
export async function assertSameContent(id: string, disk: string): Promise<void> {
  await assertSameSparse(join(lab.folder, "disks", `${id}.img`), disk);
}

function looks(volume: Volume | undefined) {
  const { Size, VolumeType, Iops, Throughput, Tags = [] } = volume ?? {};
  const own = Tags.filter(({ Key = "" }) => !Key.startsWith("blockferry:"));
  const tags = Object.fromEntries(own.map(({ Key, Value }) => [Key, Value]));
  return { Size, VolumeType, Iops, Throughput, tags };
}

/** Returns all resources except the restored ones, without properties that change by themselves. */
export async function besides(ids: string[] = []): Promise<Omit<LabResources, "agents" | "loopDevices">> {
  const { agents: _, loopDevices: __, ...rest } = await lab.control.resources();
  const others = <T extends { id: string }>(all: T[]) => all.filter(({ id }) => !ids.includes(id));
  return {
    ...rest,
    ...{
      volumes: others(rest.volumes),
      snapshots: others(rest.snapshots),
      instances: others(rest.instances),
    },
    disks: rest.disks.filter((id) => !ids.includes(id)),
  };
}
