import assert from "node:assert/strict";
import { populate, REPOSITORY, startLab } from "../lab/lab.js";
import { controller, startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";

const lab = await startLab();
// Nothing is invisible here, so that the controller need not wait.
const env = { ...lab.env, BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200" };

const ITS_OWN = ["--source-profile", "source", "--worker-aws-profile", "worker"];

rootTest("a job is taken up in its own accounts and Regions, or not at all", fullDepthOnly, async () => {
  const { customerKey, workerId } = await populate(lab);
  const before = await lab.control.resources();
  const job = await killWithVolumes([
    ...ITS_OWN,
    ...["--instance", customerKey.instanceId, "--worker", workerId],
  ]);
  const left = await lab.control.resources();
  assert.ok(left.volumes.length > before.volumes.length);

  for (const wrong of [
    ["--source-profile", "worker", "--worker-aws-profile", "worker"],
    ["--source-profile", "source", "--worker-aws-profile", "source"],
    // Credentials of the environment; the journal's profiles do not count.
    [],
  ]) {
    const resumed = await controller(["resume", job, "--repo", REPOSITORY, "--json", ...wrong], env);
    const error = failure(1, resumed);
    assert.deepEqual([error.code, error.object], ["CredentialsInvalid", job]);
    assert.match(error.remedy, /Give credentials of account \d{12}.*claims that it was started with --\w+/);
    const { code, problems } = await cleanUp(env, ...wrong);
    assert.deepEqual([code, problems.map((problem) => problem.code)], [1, ["CredentialsInvalid"]]);
    assert.deepEqual(await lab.control.resources(), left);
  }

  const elsewhere = { ...env, AWS_REGION: "eu-west-1" };
  const { code, cleaned } = await cleanUp(elsewhere, "--region", "us-east-1", ...ITS_OWN);
  assert.deepEqual([code, cleaned], [0, [job]]);
  assert.deepEqual(await lab.control.resources(), before);
});

/** Kills a backup after it has made its volumes. @returns its job */
async function killWithVolumes(options: string[]): Promise<string> {
  const run = startController(["backup", "--repo", REPOSITORY, ...options], env, (stderr) => {
    if (stderr.includes("done: Creating encrypted volumes")) run.process.kill("SIGKILL");
  });
  const { signal, stderr } = await run.result;
  assert.equal(signal, "SIGKILL", stderr);
  return /job (job-\S+),/.exec(stderr)?.[1] ?? "";
}

async function cleanUp(env: Record<string, string>, ...options: string[]) {
  const args = ["cleanup", "--older-than", "0s", "--repo", REPOSITORY, "--json", ...options];
  const { code, stdout, stderr } = await controller(args, env);
  assert.notEqual(stdout, "", stderr);
  return { code, ...(JSON.parse(stdout) as { cleaned: string[]; problems: { code: string }[] }) };
}
