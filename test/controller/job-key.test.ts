import assert from "node:assert/strict";
import { DisableKeyCommand, GenerateMacCommand, VerifyMacCommand } from "@aws-sdk/client-kms";
import { type Lab, launchWorker, makeRepository, REPOSITORY, startLab } from "../lab/lab.js";
import { createJobKey, createKey, createReplyKey } from "../lab/lab-keys.js";
import { launchSource } from "../lab/source-instance.js";
import { controller, startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { SeededRandom } from "../support/random.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";

const lab = await startLab();
const env = { ...lab.env, BLOCKFERRY_POLL_MS: "50", BLOCKFERRY_VISIBLE_TIMEOUT_MS: "200" };

interface Stage {
  /** Options of a backup through a worker whose image has the job key. */
  backup: string[];
  key: string;
  replyKey: string;
}

let opened: Promise<Stage> | undefined;

/** Called by the first test, because it needs root. */
function stage(): Promise<Stage> {
  opened ??= open(lab);
  return opened;
}

/** The key belongs to the controller's account; the worker is in another one. */
async function open({ control, source, worker, folder }: Lab): Promise<Stage> {
  await control.change({ latencyMs: 50 });
  const instance = await launchSource(source, folder, "none", SeededRandom.fresh());
  await makeRepository(lab);
  const key = await createJobKey(worker, [source.accountId]);
  const replyKey = await createReplyKey(worker, [source.accountId]);
  await control.change({ jobKey: key, replyKey });
  const place = ["--source-profile", "source", "--worker-account", "source"];
  const who = ["--instance", instance.instanceId, "--worker", await launchWorker(lab, source)];
  return { key, replyKey, backup: ["--repo", REPOSITORY, ...who, ...place] };
}

rootTest(
  "a backup that is signed is done by a worker of another account, which could not sign it",
  async () => {
    const { backup, key, replyKey } = await stage();
    await lab.control.clearRequests();
    // The check gets its answer; the signature of the job needs a second attempt.
    await lab.control.addFault({ action: "GenerateMac", effect: "throttle", after: 1, times: 1 });
    const { code, stdout, stderr } = await controller(
      ["backup", ...backup, "--job-key", key, "--reply-key", replyKey],
      env,
    );
    assert.equal(code, 0, stdout + stderr);
    assert.doesNotMatch(stderr, /are not signed/);
    assert.deepEqual(await lab.control.metFaults(), [1]);
    await lab.control.clearFaults();
    const calls = (await lab.control.requests()).filter(({ action }) => /Mac$/.test(action));
    const verified = calls.filter(({ principal }) => principal?.includes("assumed-role/blockferry-agent"));
    assert.deepEqual(
      verified.map(({ action, account }) => [action, account]),
      [
        ["GenerateMac", lab.source.accountId],
        ["VerifyMac", lab.source.accountId],
      ],
      "no call for each heartbeat",
    );
    const request = { KeyId: key, Message: Buffer.from("mine"), MacAlgorithm: "HMAC_SHA_256" } as const;
    const denied = { name: "AccessDeniedException" };
    await assert.rejects(lab.source.kms.send(new GenerateMacCommand(request)), denied);
    const { Mac } = await lab.worker.kms.send(new GenerateMacCommand(request));
    const { MacValid } = await lab.source.kms.send(new VerifyMacCommand({ ...request, Mac }));
    assert.equal(MacValid, true);
  },
);

rootTest(
  "one that is not signed, or with another key, ends with the objection of the worker",
  fullDepthOnly,
  async () => {
    const { backup } = await stage();
    const unsigned = failure(1, await controller(["backup", ...backup, "--json"], env));
    assert.equal(unsigned.code, "JobUnsigned");
    const other = await createJobKey(lab.worker, [lab.source.accountId]);
    const foreign = failure(1, await controller(["backup", ...backup, "--json", "--job-key", other], env));
    assert.equal(foreign.code, "JobSignatureInvalid");
    assert.ok(foreign.message.includes(other), foreign.message);
    const status = await controller(
      ["status", foreign.object ?? "", "--repo", REPOSITORY, "--json", "--job-key", other],
      env,
    );
    assert.equal(JSON.parse(status.stdout).outcome.error.code, "JobSignatureInvalid");
  },
);

rootTest("a job that another process takes up is signed as it was to be", fullDepthOnly, async () => {
  const { backup, key } = await stage();
  const run = startController(["backup", ...backup, "--job-key", key], env, (stderr) => {
    if (stderr.includes("done: Creating encrypted volumes")) run.process.kill("SIGKILL");
  });
  const { stderr, signal } = await run.result;
  assert.equal(signal, "SIGKILL", stderr);
  const job = /job (job-\S+),/.exec(stderr)?.[1] ?? "";
  const resume = ["resume", job, "--repo", REPOSITORY, "--source-profile", "source", "--json"];
  const resumed = await controller([...resume, "--job-key", key], env);
  assert.equal(resumed.code, 0, resumed.stdout + resumed.stderr);
});

rootTest("a key that cannot sign is found before anything is made", fullDepthOnly, async () => {
  const { backup } = await stage();
  const check = async (key: string) => {
    const { stdout } = await controller(["check", ...backup, "--json", "--job-key", key], env);
    const { ok, problems } = JSON.parse(stdout);
    assert.equal(ok, false);
    assert.deepEqual([problems.length, problems[0].object], [1, key]);
    return problems[0];
  };
  const disabled = await createJobKey(lab.worker);
  await lab.worker.kms.send(new DisableKeyCommand({ KeyId: disabled }));
  const foreign = await createJobKey(lab.source, [lab.worker.accountId]);
  const missing = disabled.replace(/key\/.*/, "key/00000000-0000-4000-8000-000000000000");
  const found = await Promise.all([await createKey(lab.worker), disabled, missing, foreign].map(check));
  assert.deepEqual(
    found.map(({ code }) => code),
    ["KeyNotUsable", "KeyNotUsable", "AwsResourceNotFound", "AwsAccessDenied"],
  );
  assert.match(found[0].remedy, /--key-usage GENERATE_VERIFY_MAC --key-spec HMAC_256/);
});
