import { TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { EnableKeyCommand } from "@aws-sdk/client-kms";
import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { JournalRecord } from "../../controller/run/read-journals.js";
import { journalKey } from "../../repository/jobs/job-key.js";
import { describeInstance } from "../lab/instances.js";
import { type Lab, launchWorker, makeRepository, openLab, REPOSITORY } from "../lab/lab.js";
import { createKey } from "../lab/lab-keys.js";
import type { Party } from "../lab/party.js";
import { launchSource, type SourceEncryption, type SourceInstance } from "../lab/source-instance.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { startController } from "../support/controller.js";
import { SeededRandom } from "../support/random.js";
import type { RunningProgram } from "../support/start-program.js";
import { waitUntil } from "../support/wait-until.js";
import type { Way } from "./ways.js";

const LATENCY_MS = 50;
const QUICK = { BLOCKFERRY_POLL_MS: "50", BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200" };

/** A lab for one way, with everything that its backups need except the worker. */
export interface Stage {
  way: Way;
  lab: Lab;
  instance: SourceInstance;
  /** ARNs. The source key and the bridge key are undefined if the way has none that can be disabled. */
  keys: { volume: string; source: string | undefined; bridge: string | undefined };
  /** The account and Region of the worker. */
  workerParty: Party;
  sourceAccount: string;
  /** Image and subnet of workers to launch. */
  launch: readonly string[];
}

export async function openStage(way: Way): Promise<Stage> {
  const lab = await openLab();
  await lab.control.change({ latencyMs: LATENCY_MS, spotNoticeMs: LATENCY_MS });
  const { source, worker } = lab;
  const workerParty = (way.worker.account === "source" ? source : worker).in(way.worker.region);
  const sourceKey = way.volumes === "customer" ? await createKey(source, [worker.accountId]) : undefined;
  const encryption = encryptionOf(way, sourceKey);
  const instance = await launchSource(source, lab.folder, encryption, SeededRandom.fresh());
  await makeRepository(lab);
  const bridge =
    way.bridge === "given" ? await createKey(source.in(way.worker.region), [worker.accountId]) : undefined;
  return {
    ...{ way, lab, instance, workerParty, sourceAccount: source.accountId },
    keys: { volume: await createKey(workerParty), source: sourceKey, bridge },
    launch: way.worker.kind === "existing" ? [] : await launchOptions(workerParty),
  };
}

function encryptionOf({ volumes }: Way, sourceKey: string | undefined): SourceEncryption {
  if (sourceKey !== undefined) return { keyArn: sourceKey };
  return volumes === "none" ? "none" : "aws/ebs";
}

async function launchOptions(party: Party): Promise<string[]> {
  return [
    ...["--worker-ami", await registerWorkerImage(party), "--worker-subnet", await defaultSubnet(party)],
    ...["--worker-type", "m5.large", "--worker-profile", "blockferry-agent"],
  ];
}

/** Starts a worker with the agent, for ways that do not launch one. @returns its id */
export async function newWorker({ way, lab, workerParty }: Stage): Promise<string | undefined> {
  return way.worker.kind === "existing" ? launchWorker(lab, workerParty) : undefined;
}

/** Terminates a worker as its owner does. A worker that is already gone is not an error. */
export async function endWorker({ workerParty, lab }: Stage, worker: string | undefined): Promise<void> {
  if (worker === undefined) return;
  await workerParty.ec2.send(new TerminateInstancesCommand({ InstanceIds: [worker] }));
  await waitUntil(`${worker} to be terminated`, async () => {
    return (await describeInstance(workerParty, worker))?.State?.Name === "terminated";
  });
  await waitUntil("its volumes to be gone", async () => {
    const { volumes } = await lab.control.resources();
    return volumes.every(({ attachedTo }) => attachedTo !== worker);
  });
}

/** Starts the way's backup. @param worker undefined if the backup launches it */
export function startBackup(
  stage: Stage,
  worker: string | undefined,
  env: Record<string, string> = {},
): RunningProgram {
  const { way, lab, instance, keys, launch } = stage;
  const args = [
    ...["backup", "--repo", REPOSITORY, "--instance", instance.instanceId, "--json", ...way.access],
    ...["--worker-region", way.worker.region, "--volume-key", keys.volume],
    ...(keys.bridge === undefined ? [] : ["--bridge-key", keys.bridge]),
    ...(worker === undefined ? launch : ["--worker", worker]),
  ];
  return startController(args, { ...lab.env, ...QUICK, ...env });
}

/** Continues a job or cleans up: runs `resume JOB` or `cleanup`. */
export function startAfterwards({ lab, way }: Stage, ...args: string[]): RunningProgram {
  const profiles = way.access.filter((_, index) => /-profile$/.test(way.access[index - (index % 2)] ?? ""));
  const access = ["resume", "cleanup"].includes(args[0] ?? "") ? profiles : [];
  return startController([...args, ...access, "--repo", REPOSITORY, "--json"], { ...lab.env, ...QUICK });
}

/** Returns the journal in the repository: the one of the last controller that took over the job. */
export async function journalOf(stage: Stage, job: string): Promise<JournalRecord> {
  const { hostname, pathname } = new URL(REPOSITORY);
  const command = new ListObjectsV2Command({
    Bucket: hostname,
    Prefix: `${pathname.slice(1)}/jobs/${job}/journal`,
  });
  const { KeyCount = 0 } = await stage.lab.worker.s3.send(command);
  return JSON.parse(await objectOf(stage, journalKey(job, KeyCount))).body as JournalRecord;
}

/** Returns whether a recovery point is recorded. */
export async function hasPoint(stage: Stage, point: string): Promise<boolean> {
  return (await objectOf(stage, `points/${point}.json`)).includes(point);
}

async function objectOf({ lab }: Stage, key: string): Promise<string> {
  const { hostname, pathname } = new URL(REPOSITORY);
  const command = new GetObjectCommand({ Bucket: hostname, Key: `${pathname.slice(1)}/${key}` });
  const { Body } = await lab.worker.s3.send(command);
  return (await Body?.transformToString()) ?? "";
}

/** Enables keys again that a fault has disabled. */
export async function enableKeys({ lab, keys, workerParty }: Stage): Promise<void> {
  const { source } = lab;
  const region = workerParty.region;
  await workerParty.kms.send(new EnableKeyCommand({ KeyId: keys.volume }));
  if (keys.source !== undefined) await source.kms.send(new EnableKeyCommand({ KeyId: keys.source }));
  if (keys.bridge !== undefined) {
    await source.in(region).kms.send(new EnableKeyCommand({ KeyId: keys.bridge }));
  }
}
