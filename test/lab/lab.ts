import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { startAgent } from "../support/agent.js";
import { SeededRandom } from "../support/random.js";
import { launch } from "./instances.js";
import { LabControl } from "./lab-control.js";
import { REGION, writeEnvironment } from "./lab-environment.js";
import { createKey } from "./lab-keys.js";
import { startLabServer } from "./lab-server.js";
import { Party } from "./party.js";
import { launchSource, type SourceInstance } from "./source-instance.js";

/** The repository, in the worker's account. */
export const REPOSITORY = "s3://blockferry-lab/backups";

const WORKER_PROFILE = "blockferry-agent";

/** A simulated AWS with two empty accounts. */
export interface Lab {
  endpointUrl: string;
  /** Contains the disks, and the device files of each instance. */
  folder: string;
  /** Environment for commands in the lab; profile `worker` is the default, `source` the other account. */
  env: Record<string, string>;
  control: LabControl;
  source: Party;
  worker: Party;
  stop(): Promise<void>;
}

/** Instances and keys for test backups. */
export interface Population {
  /** Key of the source account that the worker's account may use. */
  sharedKey: string;
  /** Key of the source account for `--bridge-key`, which the worker's account may use. */
  bridgeKey: string;
  /** Key of the worker's account. */
  workerKey: string;
  /** Encrypted with `sharedKey`. */
  customerKey: SourceInstance;
  /** Encrypted with aws/ebs. */
  defaultKey: SourceInstance;
  unencrypted: SourceInstance;
  /** An instance with the agent, in the worker's account. */
  workerId: string;
  /** An instance with the agent, in the source account. */
  sourceWorkerId: string;
}

/** Starts a lab that ends with the test file or suite. */
export async function startLab(): Promise<Lab> {
  const lab = await openLab();
  after(() => lab.stop());
  return lab;
}

/** Starts a lab; the caller stops it. Needs root, for loop devices. */
export async function openLab(): Promise<Lab> {
  const folder = await mkdtemp(join(tmpdir(), "blockferry-lab-"));
  const server = await startLabServer(folder);
  const { endpointUrl } = server;
  return {
    endpointUrl,
    folder,
    env: await writeEnvironment(folder, server),
    control: new LabControl(endpointUrl),
    source: new Party(endpointUrl, server.source),
    worker: new Party(endpointUrl, server.worker),
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Fills the lab: keys, three instances with real file systems, a repository, and workers.
 * @param init further options of `init`
 */
export async function populate(
  lab: Lab,
  random = SeededRandom.fresh(),
  init: string[] = [],
): Promise<Population> {
  const { source, worker, folder } = lab;
  const sharedKey = await createKey(source, [worker.accountId]);
  const bridgeKey = await createKey(source, [worker.accountId]);
  const workerKey = await createKey(worker);
  const customerKey = await launchSource(source, folder, { keyArn: sharedKey }, random);
  const defaultKey = await launchSource(source, folder, "aws/ebs", random);
  const unencrypted = await launchSource(source, folder, "none", random);
  await makeRepository(lab, init);
  const workerId = await launchWorker(lab, worker);
  const sourceWorkerId = await launchWorker(lab, source);
  return {
    sharedKey,
    bridgeKey,
    workerKey,
    customerKey,
    defaultKey,
    unencrypted,
    workerId,
    sourceWorkerId,
  };
}

/** Makes the bucket and an empty repository in it. @param init further options of `init` */
export async function makeRepository(lab: Lab, init: string[] = []): Promise<void> {
  await lab.worker.s3.send(new CreateBucketCommand({ Bucket: new URL(REPOSITORY).hostname }));
  const { code, stdout, stderr } = await startAgent(["init", "--repo", REPOSITORY, ...init], lab.env).result;
  assert.equal(code, 0, `init\n${stdout}\n${stderr}`);
}

/** Launches an instance that runs the agent. @returns its id */
export async function launchWorker(lab: Lab, party: Party): Promise<string> {
  const document = { blockferry: { repo: REPOSITORY, region: REGION, endpointUrl: lab.endpointUrl } };
  const { InstanceId = "" } = await launch(party, {
    ImageId: "ami-0123456789abcdef1",
    IamInstanceProfile: { Name: WORKER_PROFILE },
    UserData: Buffer.from(JSON.stringify(document)).toString("base64"),
  });
  return InstanceId;
}
