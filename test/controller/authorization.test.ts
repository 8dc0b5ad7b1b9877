import assert from "node:assert/strict";
import { AddRoleToInstanceProfileCommand, CreateInstanceProfileCommand } from "@aws-sdk/client-iam";
import { launchWorker, type Population, populate, REPOSITORY, startLab } from "../lab/lab.js";
import type { LabRequest } from "../lab/lab-control.js";
import { createJobKey, createKey, createReplyKey } from "../lab/lab-keys.js";
import type { SourceInstance } from "../lab/source-instance.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { controller, startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { SeededRandom } from "../support/random.js";
import { rootTest } from "../support/root-test.js";
import { waitUntil } from "../support/wait-until.js";
import { AuthorizedRun } from "./authorized-run.js";

/** A Region other than the instance's. */
const ELSEWHERE = "eu-west-1";

const lab = await startLab();
const env = {
  ...{ ...lab.env, BLOCKFERRY_POLL_MS: "100", BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "10000" },
  BLOCKFERRY_VISIBLE_TIMEOUT_MS: "500",
};
const role = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;
const NEAR = ["--source-role", role(lab.source.accountId, "blockferry-source"), "--worker-account", "source"];
const ACROSS = [
  ...["--source-role", role(lab.source.accountId, "blockferry-source")],
  ...["--worker-role", role(lab.worker.accountId, "blockferry-controller")],
];

let population: Promise<Population> | undefined;
/** Jobs are signed with a key of the controller's account; agents in either account verify them. */
let jobKey = "";
/** Agents in either account sign their replies with it. */
let replyKey = "";
let openings: Promise<LabRequest[]> | undefined;

/** Called by the first test, because it needs root. */
function populated(): Promise<Population> {
  population ??= populateEncrypted();
  return population;
}

/** Makes an encrypted repository, whose key the agent may use in either account. */
async function populateEncrypted(): Promise<Population> {
  jobKey = await createJobKey(lab.worker, [lab.source.accountId]);
  replyKey = await createReplyKey(lab.worker, [lab.source.accountId]);
  await lab.control.change({ jobKey, replyKey });
  const key = await createKey(lab.worker, [lab.source.accountId]);
  const made = await populate(lab, SeededRandom.fresh(), ["--encrypt", `kms:${key}`]);
  openings = agentOpenings();
  await openings;
  return made;
}

/** Returns the calls with which the worker's agent opened the repository, which it does once at its start. */
async function agentOpenings(): Promise<LabRequest[]> {
  const agent = `arn:aws:sts::${lab.worker.accountId}:assumed-role/blockferry-agent`;
  let calls: LabRequest[] = [];
  await waitUntil("the agent to open the repository", async () => {
    const requests = await lab.control.requests();
    calls = requests.filter(
      ({ action, principal }) => action === "Decrypt" && principal?.startsWith(agent) === true,
    );
    return calls.length > 0;
  });
  return calls;
}

/**
 * In each test, the printed policies allow every call of the run, and each of their actions is needed for a
 * call.
 */

rootTest("policies for one account are enough, and none of it too much", fullDepthOnly, async () => {
  const { defaultKey, sourceWorkerId } = await populated();
  const key = await createKey(lab.source);
  await prove(defaultKey, [...NEAR, "--worker", sourceWorkerId, "--volume-key", key]);
});

rootTest(
  "policies across accounts are; also for what fails, is resumed or cleaned up",
  fullDepthOnly,
  async () => {
    const { customerKey, sharedKey, workerId, workerKey } = await populated();
    const options = [...ACROSS, "--worker", workerId, "--volume-key", workerKey, "--threads", "1"];
    const run = await AuthorizedRun.prepare(lab, env, [...instance(customerKey), ...options], [sharedKey]);
    const error = { code: "AccessDenied", message: "Access Denied", status: 403 };
    await lab.control.addFault({ action: "CompleteMultipartUpload", error });
    assert.equal((await controller(run.args, env)).code, 1);
    assert.equal((await controller(run.args, env)).code, 0);
    const own = [...ACROSS, "--job-key", jobKey, "--reply-key", replyKey];
    const resumed = await killAfter(run.args, "Attaching the volumes");
    assert.equal((await controller(["resume", resumed, "--repo", REPOSITORY, ...own], env)).code, 0);
    await killAfter(run.args, "Sharing the snapshots");
    const cleanup = ["cleanup", "--older-than", "0s", "--repo", REPOSITORY, "--json", ...own];
    assert.match((await controller(cleanup, env)).stdout, /"problems":\[\]/);
    await run.assertExact(["controller", "source", "worker", "agent"], await openings);
  },
);

rootTest("policies over a bridge key are", fullDepthOnly, async () => {
  const { defaultKey, bridgeKey, workerId, workerKey } = await populated();
  const options = [...ACROSS, "--worker", workerId, "--volume-key", workerKey, "--bridge-key", bridgeKey];
  await prove(defaultKey, options, [bridgeKey]);
});

rootTest("policies to another Region are", fullDepthOnly, async () => {
  const { customerKey } = await populated();
  const there = lab.source.in(ELSEWHERE);
  const key = await createKey(there);
  const options = [...NEAR, "--worker", await launchWorker(lab, there), "--worker-region", ELSEWHERE];
  await prove(customerKey, [...options, "--volume-key", key]);
});

rootTest("policies to another account and Region are", fullDepthOnly, async () => {
  const { customerKey, sharedKey } = await populated();
  const there = lab.worker.in(ELSEWHERE);
  const key = await createKey(there);
  const options = [...ACROSS, "--worker", await launchWorker(lab, there), "--worker-region", ELSEWHERE];
  await prove(customerKey, [...options, "--volume-key", key], [sharedKey]);
});

rootTest("policies to another account and Region over a bridge key are", fullDepthOnly, async () => {
  const { defaultKey } = await populated();
  const there = lab.worker.in(ELSEWHERE);
  const key = await createKey(there);
  const bridge = await createKey(lab.source.in(ELSEWHERE));
  const options = [...ACROSS, "--worker", await launchWorker(lab, there), "--worker-region", ELSEWHERE];
  await prove(defaultKey, [...options, "--volume-key", key, "--bridge-key", bridge], [bridge]);
});

rootTest("policies for a worker that is launched are", fullDepthOnly, async () => {
  const { customerKey, sharedKey, workerKey } = await populated();
  const InstanceProfileName = "backup-workers";
  await lab.worker.iam.send(new CreateInstanceProfileCommand({ InstanceProfileName }));
  await lab.worker.iam.send(
    new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: "blockferry-agent" }),
  );
  const image = await registerWorkerImage(lab.worker);
  const launch = ["--worker-ami", image, "--worker-subnet", await defaultSubnet(lab.worker)];
  const options = [...launch, "--worker-type", "m5.large", "--worker-profile", InstanceProfileName];
  await prove(customerKey, [...ACROSS, ...options, "--volume-key", workerKey], [sharedKey]);
});

/**
 * Runs a backup with the printed policies.
 * @param shared keys of the instance's account that the worker's role needs
 */
async function prove(source: SourceInstance, options: string[], shared: string[] = []): Promise<void> {
  const run = await AuthorizedRun.prepare(lab, env, [...instance(source), ...options], shared);
  const { code, stdout, stderr } = await controller(run.args, env);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const isOneAccess = options.includes("--worker-account");
  await run.assertExact(["controller", "source", ...(isOneAccess ? [] : ["worker" as const])]);
}

function instance({ instanceId }: SourceInstance): string[] {
  return ["--instance", instanceId, "--job-key", jobKey, "--reply-key", replyKey];
}

/** Kills a backup after a step. @returns the job */
async function killAfter(backup: string[], step: string): Promise<string> {
  const run = startController(backup, env, (stderr) => {
    if (stderr.includes(`done: ${step}`)) run.process.kill("SIGKILL");
  });
  const { stderr, signal } = await run.result;
  assert.equal(signal, "SIGKILL", stderr);
  return /job (job-\S+),/.exec(stderr)?.[1] ?? "";
}
