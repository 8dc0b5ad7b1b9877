import assert from "node:assert/strict";
import { AddRoleToInstanceProfileCommand, CreateInstanceProfileCommand } from "@aws-sdk/client-iam";
import { type Lab, launchWorker } from "../lab/lab.js";
import { createJobKey, createKey } from "../lab/lab-keys.js";
import { defaultSubnet, registerWorkerImage } from "../lab/worker-image.js";
import { controller } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { rootTest } from "../support/root-test.js";
import { AuthorizedRun } from "./authorized-run.js";
import { type RestoreStage, restoreStage } from "./restore-stage.js";

const role = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;

/**
 * In each test, the printed policies allow every call of the run. Policies without EC2's own use of keys have
 * no superfluous action.
 */

rootTest(
  "policies for restoring volumes in one account are enough, and none of it too much",
  fullDepthOnly,
  async () => {
    const stage = await restoreStage();
    const key = await createKey(stage.lab.source);
    const run = await prove(stage, [...near(stage), "--volume-key", key]);
    await failOnce(stage, run);
    await run.assertExact(["controller", "source"]);
  },
);

rootTest("policies for restoring a snapshot across accounts are", fullDepthOnly, async () => {
  const stage = await restoreStage();
  const { lab } = stage;
  const jobKey = await createJobKey(lab.worker);
  await lab.control.change({ jobKey });
  const worker = await launchWorker(lab, lab.worker);
  await lab.control.change({ jobKey: null });
  const options = [...across({ ...stage, worker }), "--to", "snapshot", "--job-key", jobKey];
  const target = ["--target-key", await createKey(lab.source)];
  const run = await prove(stage, [...options, ...target], [stage.workerKey]);
  await failOnce(stage, run);
  await run.assertExact(["controller", "source", "worker"]);
});

rootTest("policies for restoring an instance across accounts are enough", fullDepthOnly, async () => {
  const stage = await restoreStage();
  const { source } = stage.lab;
  const InstanceProfileName = "shops";
  await source.iam.send(new CreateInstanceProfileCommand({ InstanceProfileName }));
  await source.iam.send(
    new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: "blockferry-agent" }),
  );
  const instance = ["--ami", await registerWorkerImage(source), "--subnet", await defaultSubnet(source)];
  const target = ["--target-key", await createKey(source), "--instance-profile", InstanceProfileName];
  const options = [...across(stage), ...target, "--to", "instance", ...instance];
  const run = await prove(stage, options, [stage.workerKey], ["root", "sdf"]);
  await run.assertEnough();
});

function near({ lab, sourceWorker }: RestoreStage): string[] {
  const source = ["--source-role", role(lab.source.accountId, "blockferry-source")];
  return [...source, "--worker-account", "source", "--worker", sourceWorker];
}

function across({ lab, worker, workerKey }: RestoreStage): string[] {
  return [
    ...["--source-role", role(lab.source.accountId, "blockferry-source")],
    ...["--worker-role", role(lab.worker.accountId, "blockferry-controller")],
    ...["--worker", worker, "--volume-key", workerKey],
  ];
}

/** Lets a restore fail once, which removes all its resources. */
async function failOnce({ lab }: RestoreStage, run: AuthorizedRun): Promise<void> {
  const error = { code: "InvalidParameterValue", message: "Not today", status: 400 };
  await lab.control.addFault({ action: "CreateTags", error });
  assert.equal((await controller(run.args, envOf(lab))).code, 1);
}

function envOf(lab: Lab): Record<string, string> {
  return { ...lab.env, BLOCKFERRY_POLL_MS: "50", BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200" };
}

/**
 * Runs a restore with the printed policies.
 * @param shared keys of the worker's account that the other account's role needs
 */
async function prove(
  { lab, point }: RestoreStage,
  options: string[],
  shared: string[] = [],
  volumes = ["sdf"],
): Promise<AuthorizedRun> {
  const env = envOf(lab);
  const named = ["--point", point, ...volumes.flatMap((name) => ["--volume", name])];
  const run = await AuthorizedRun.prepare(lab, env, [...named, ...options], shared, "restore");
  const { code, stdout, stderr } = await controller(run.args, env);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return run;
}
