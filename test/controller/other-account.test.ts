import assert from "node:assert/strict";
import { populate, REPOSITORY, startLab } from "../lab/lab.js";
import { controller, startController } from "../support/controller.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";

const lab = await startLab();
// Nothing is invisible here, so nothing has to be waited for.
const env = { ...lab.env, BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200" };

rootTest("a job is taken up in its own accounts and Regions, or not at all", async () => {
  const { customerKey, workerId } = await populate(lab);
  const before = await lab.control.resources();
  const job = await killWithVolumes([
    ...["--source-profile", "source", "--worker-aws-profile", "worker"],
    ...["--instance", customerKey.instanceId, "--worker", workerId],
  ]);
  const left = await lab.control.resources();
  assert.ok(left.volumes.length > before.volumes.length);

  for (const wrong of [
    ["--source-profile", "worker"],
    ["--worker-aws-profile", "source"],
  ]) {
    const resumed = await controller(["resume", job, "--repo", REPOSITORY, "--json", ...wrong], env);
    const error = failure(1, resumed);
    assert.deepEqual([error.code, error.object], ["CredentialsInvalid", job]);
    assert.match(error.remedy, /Give credentials of account \d{12}/);
    const { code, problems } = await cleanUp(env, ...wrong);
    assert.deepEqual([code, problems.map((problem) => problem.code)], [1, ["CredentialsInvalid"]]);
    assert.deepEqual(await lab.control.resources(), left);
  }

  const elsewhere = { ...env, AWS_REGION: "eu-west-1" };
  const { code, cleaned } = await cleanUp(elsewhere, "--region", "us-east-1");
  assert.deepEqual([code, cleaned], [0, [job]]);
  assert.deepEqual(await lab.control.resources(), before);
});

/** @returns the job of a backup that was killed when it had made its volumes */
async function killWithVolumes(options: string[]): Promise<string> {
  const run = startController(["backup", "--repo", REPOSITORY, ...options], env, (stderr) => {
    if (stderr.includes("done: Making encrypted volumes")) run.process.kill("SIGKILL");
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
