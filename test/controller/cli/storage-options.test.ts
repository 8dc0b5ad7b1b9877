import assert from "node:assert/strict";
import { test } from "node:test";
import type { Party } from "../../../controller/aws/party.js";
import { timing } from "../../../controller/aws/poll.js";
import { parseRequest, type RequestArguments } from "../../../controller/cli/request-options.js";
import type { BackupRequest } from "../../../controller/plan/request.js";
import { runInstances } from "../../../controller/steps/launch-worker.js";
import { runJob } from "../../../controller/steps/run-job.js";
import type { Job } from "../../../repository/jobs/job.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { readJob } from "../../support/jobs.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf, UNSIGNED } from "../plans.js";

const KMS_KEY = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111";

/** Returns the arguments that yargs parses from a command line with these options. */
function argumentsWith(options: Partial<RequestArguments>): RequestArguments {
  const minimum = {
    ...{ repo: "s3://backups/fleet", instance: "i-0a1b2c3d4e5f60718", workerAccount: "worker" },
    ...{ workerAmi: "ami-0123", workerSubnet: "subnet-0123", workerType: "m5.large", workerProfile: "agent" },
    ...{
      excludeRoot: false,
      volumeType: "gp3",
      keepSnapshot: false,
      compression: "lz4",
      skipBadBlocks: false,
    },
  };
  return { ...minimum, ...options } as unknown as RequestArguments;
}

/** Returns the job that the agent gets for a request. */
async function jobOf(request: BackupRequest): Promise<Job> {
  const plan = planOf({}, request);
  const storage = new LocalDirectory(await tempFolder());
  const party = {} as Party;
  const made = {
    volumes: { "vol-0123456789abcdef0": "vol-0fedcba9876543210" },
    attachments: { "vol-0123456789abcdef0": "/dev/sdf" },
    workerId: "i-0aaaaaaaaaaaaaaa1",
  };
  await runJob.make({
    ...{ plan, made, storage, source: party, worker: party, timing: timing() },
    ...{ signing: UNSIGNED, delivered: new Set<string>() },
    ...{ signal: new AbortController().signal, visibleBy: 0, progress: () => undefined },
  });
  return readJob(storage, plan.jobId);
}

test("how the repository is to be written reaches the agent in its job, and not in a worker's user data", async () => {
  const request = parseRequest(
    argumentsWith({
      ...{ sse: "aws:kms", sseKmsKey: KMS_KEY, storageClass: "STANDARD_IA", bandwidthLimit: "50M" },
      ...{
        lockUntil: "2999-01-01",
        lockMode: "compliance",
        requestTimeout: 60,
        region: "us-east-1",
        profile: "mine",
      },
    }),
  );
  const plan = planOf({}, request);
  const job = await jobOf(request);
  assert.deepEqual(job.options.storage, {
    storageClass: "STANDARD_IA",
    encryption: { algorithm: "aws:kms", kmsKey: KMS_KEY },
    bytesPerSecond: 50 * 1024 * 1024,
    timeoutMs: 60_000,
  });
  assert.ok(job.kind === "backup");
  assert.deepEqual(job.options.lock, { mode: "compliance", until: "2999-01-01T23:59:59.000Z" });
  const userData = Buffer.from(runInstances(plan).input.UserData ?? "", "base64").toString();
  assert.deepEqual(JSON.parse(userData), { blockferry: { repo: "s3://backups/fleet", region: "us-east-1" } });
});

test("a launched worker is allowed to use http only if its controller is", () => {
  const endpointUrl = "http://192.0.2.1:9000";
  for (const allowInsecureHttp of [undefined, true]) {
    const plan = planOf({}, parseRequest(argumentsWith({ endpointUrl, allowInsecureHttp })));
    const userData = Buffer.from(runInstances(plan).input.UserData ?? "", "base64").toString();
    const permission = allowInsecureHttp === undefined ? {} : { allowInsecureHttp };
    assert.deepEqual(JSON.parse(userData), {
      blockferry: { repo: "s3://backups/fleet", endpointUrl, ...permission },
    });
  }
});

test("threads reach the agent as they were given: a number, auto, or nothing", async () => {
  for (const [given, expected] of [
    [3, 3],
    ["auto", "auto"],
    [undefined, null],
  ] as const) {
    const job = await jobOf(parseRequest(argumentsWith({ threads: given })));
    assert.equal(job.options.threads, expected);
  }
});

test("a job omits the fields if no option is given, so that older agents accept it", () => {
  assert.ok(!("storage" in parseRequest(argumentsWith({})).options));
});

test("a key is named by its own ARN, as an alias is another key in each account", () => {
  for (const sseKmsKey of ["alias/backups", KMS_KEY.replace("key/", "alias/"), "1111-2222"]) {
    assert.throws(() => parseRequest(argumentsWith({ sse: "aws:kms", sseKmsKey })), { code: "Usage" });
  }
});
