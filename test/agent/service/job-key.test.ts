import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { type BackupJob, newJobId, writeJob } from "../../../repository/jobs/job.js";
import { jobKey } from "../../../repository/jobs/job-key.js";
import { TestDevices } from "../../support/device-tree.js";
import { startFaultProxy } from "../../support/fault-proxy.js";
import { newMacKey, signedBy } from "../../support/job-keys.js";
import { jobVolume, makeJob, readJob, WORKER } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, newRepository, pointIds } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { startS3Server } from "../../support/s3-server.js";
import { ServedRepository, stopService } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;
const OTHER_WORKER = "i-0ccccccccccccccc3";
const volume = jobVolume(0, MIB);

const { endpointUrl } = await startS3Server("moto");
const key = await newMacKey();
/** An accepted job ends with DeviceNotFound. */
const NO_DEVICES = [...(await TestDevices.create()).options, "--device-timeout=0.1"];

async function emptyRepository(): Promise<ServedRepository> {
  return ServedRepository.open(await newRepository(await tempFolder()));
}

/** Writes a job as a controller with the key does. */
async function addSigned(
  { repository: { config, storage } }: ServedRepository,
  fields: Partial<BackupJob> = {},
  by = key,
): Promise<BackupJob> {
  const job = makeJob(config.id, [volume], fields);
  await writeJob(storage, job, signedBy(by, config));
  return job;
}

/** Replaces a signed job, as an attacker who may write to the repository can. */
async function forge(
  { repository: { storage } }: ServedRepository,
  signed: BackupJob,
  changes: object,
): Promise<string> {
  const { signature, ...rest } = await readJob(storage, signed.id);
  const forged = { ...rest, ...changes, signature };
  await storage.delete([jobKey(signed.id, "job")]);
  await storage.put(jobKey(forged.id, "job"), sealJson(forged));
  return forged.id;
}

describe("a service with a job key", () => {
  rootTest(
    "accepts jobs that are signed with it, and refuses all others with a result that says so",
    async () => {
      const served = await emptyRepository();
      const devices = await TestDevices.create();
      const image = join(await tempFolder(), "disk.img");
      await writeRandomFile(image, MIB, SeededRandom.fresh());
      await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), image);
      const good = await addSigned(served);
      const unsigned = await served.addJob([volume]);
      const elsewhere = { repository: "00000000-0000-4000-8000-000000000000" };
      const invalid = {
        "other tags": await forge(served, await addSigned(served), { tags: { env: "prod" } }),
        "an unknown field": await forge(served, await addSigned(served), { shell: "true" }),
        "another version": await forge(served, await addSigned(served), { version: 2 }),
        "other volumes": await forge(served, await addSigned(served), { volumes: [jobVolume(1, MIB)] }),
        "a later expiry": await forge(
          ...[served, await addSigned(served)],
          ...[{ expiresAt: "2999-01-01T00:00:00.000Z" }],
        ),
        "a job under a new id": await forge(served, await addSigned(served), { id: newJobId(new Date()) }),
        "a job for another worker": await forge(
          ...[served, await addSigned(served, { worker: OTHER_WORKER })],
          ...[{ worker: WORKER }],
        ),
        "a job for another repository": (await addSigned(served, elsewhere)).id,
        "the same, renamed": await forge(served, await addSigned(served, elsewhere), {
          repository: served.repository.config.id,
        }),
        "another key": (await addSigned(served, {}, await newMacKey())).id,
      };
      const { config, storage } = served.repository;
      const extended = { ...makeJob(config.id, [volume]), shell: "true" };
      await storage.put(jobKey(extended.id, "job"), sealJson(extended));
      const metrics = join(await tempFolder(), "agent.prom");
      const { code, stdout } = await served.serveOnce([
        ...[...devices.options, "--job-key", key, "--metrics-file", metrics],
      ]);
      assert.equal(code, 1, stdout);
      const told = await readFile(metrics, "utf8");
      assert.match(told, /^blockferry_serve_job_errors_total\{code="JobUnsigned"\} 2$/m);
      const count = Object.keys(invalid).length;
      assert.match(
        told,
        new RegExp(`^blockferry_serve_job_errors_total{code="JobSignatureInvalid"} ${count}$`, "m"),
      );
      assert.deepEqual(await pointIds(served.repo), [await served.pointOf(good.id)]);
      for (const { id } of [unsigned, extended]) {
        const refused = await served.errorOf(id);
        assert.deepEqual([refused.code, refused.object], ["JobUnsigned", id]);
        assert.ok(refused.remedy.includes(`--job-key ${key}`), refused.remedy);
      }
      for (const [what, id] of Object.entries(invalid)) {
        const error = await served.errorOf(id);
        assert.deepEqual([error.code, error.object], ["JobSignatureInvalid", id], what);
        assert.match(stdout, new RegExp(`"job":"${id}","code":"JobSignatureInvalid"`), what);
      }
    },
  );

  test("that may not verify with it reports the missing right to the controller at once", async () => {
    const served = await emptyRepository();
    const job = await addSigned(served);
    const unknown = key.replace(/key\/.*/, "key/00000000-0000-4000-8000-000000000000");
    await served.serveOnce([...NO_DEVICES, "--job-key", unknown]);
    const error = await served.errorOf(job.id);
    assert.deepEqual([error.code, error.object], ["JobRefused", unknown]);
    assert.ok(error.message.includes(`kms:VerifyMac with ${unknown}`), error.message);
  });

  test("waits for KMS to answer, and never does a job that it could not verify meanwhile", async () => {
    const served = await emptyRepository();
    const job = await addSigned(served);
    const proxy = await startFaultProxy(endpointUrl);
    let isDown = true;
    proxy.chooseFault = () => (isDown ? "error-500" : undefined);
    const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
    const service = served.serve([...NO_DEVICES, "--job-key", key], env);
    await waitUntil("KMS to be asked again and again", () => proxy.requests.length > 3);
    assert.deepEqual([await served.status(job.id), await served.result(job.id)], [undefined, undefined]);
    isDown = false;
    assert.equal((await served.errorOf(job.id)).code, "DeviceNotFound", "it has begun");
    const { stdout } = await stopService(service);
    assert.match(stdout, /"code":"AwsUnavailable"/);
  });

  test("takes it from its environment, where a worker's image has it", async () => {
    const served = await emptyRepository();
    const job = await served.addJob([volume]);
    await served.serveOnce(NO_DEVICES, { BLOCKFERRY_JOB_KEY: key });
    assert.equal((await served.errorOf(job.id)).code, "JobUnsigned");
  });
});

describe("a service without a job key", () => {
  test("refuses a job that is signed, because it would also accept forged ones, and does the others", async () => {
    const served = await emptyRepository();
    const signed = await addSigned(served);
    const unsigned = await served.addJob([volume]);
    await served.serveOnce(NO_DEVICES);
    const error = await served.errorOf(signed.id);
    assert.equal(error.code, "JobRefused");
    assert.match(error.remedy, /--job-key.*BLOCKFERRY_JOB_KEY/);
    assert.ok(!error.remedy.includes(key), "what a job says of its key is no advice");
    assert.equal((await served.errorOf(unsigned.id)).code, "DeviceNotFound", "it has begun");
  });
});

test("a job key that is none, or an empty one, ends the service before it does any job", async () => {
  const served = await emptyRepository();
  const serve = ["serve", "--repo", served.repo, "--worker-id", WORKER, "--once"];
  for (const wrong of ["mac-key", key.replace(/key\/.*/, "alias/jobs"), ""]) {
    assert.equal((await agentFails(2, ...serve, "--job-key", wrong)).code, "Usage", wrong);
  }
  const { code } = await served.serveOnce([], { BLOCKFERRY_JOB_KEY: "" });
  assert.equal(code, 2);
});
