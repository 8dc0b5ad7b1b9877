import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openSigning } from "../../../controller/plan/signing.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import {
  type BackupJob,
  newJobId,
  oldJobMessage,
  type RestoreJob,
  writeJob,
} from "../../../repository/jobs/job.js";
import { jobKey } from "../../../repository/jobs/job-key.js";
import { type JobStatus, readResult, readStatus, writeStatus } from "../../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../../repository/jobs/signed-document.js";
import { agentJson } from "../../support/agent.js";
import { TestDevices } from "../../support/device-tree.js";
import { newMacKey, signedBy } from "../../support/job-keys.js";
import { jobVolume, makeJob, WORKER } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { newRepository } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { startS3Server } from "../../support/s3-server.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const volume = jobVolume(0, MIB);
const SELF = { profile: undefined };

await startS3Server("moto");
const key = await newMacKey();
const replyKey = await newMacKey();
const KEYS = ["--job-key", key, "--reply-key", replyKey];
/** An accepted job ends with DeviceNotFound. */
const NO_DEVICES = [...(await TestDevices.create()).options, "--device-timeout=0.1"];

async function emptyRepository(): Promise<ServedRepository> {
  return ServedRepository.open(await newRepository(await tempFolder()));
}

async function addSigned(
  { repository: { config, storage } }: ServedRepository,
  fields: Partial<BackupJob> = {},
  encryption?: string,
): Promise<BackupJob> {
  const job = makeJob(config.id, [volume], { replyKey, ...fields });
  const signing = signedBy(key, config);
  assert.ok(signing !== undefined);
  await writeJob(storage, job, encryption === undefined ? signing : { ...signing, encryption });
  return job;
}

function repliesOf({ repository }: ServedRepository, job: string) {
  return openSigning(repository, { jobKey: key, replyKey }, SELF).replies(job, WORKER);
}

async function signedError(served: ServedRepository, job: string) {
  const result = await readResult(served.repository.storage, job, await repliesOf(served, job));
  assert.ok(result?.outcome.ok === false, JSON.stringify(result));
  return result.outcome.error;
}

describe("a service with a reply key", () => {
  test("signs heartbeats and result of a job that asks for it, also of one that it refuses or that is cancelled", async () => {
    const served = await emptyRepository();
    const { storage } = served.repository;
    const done = await addSigned(served);
    const forged = await addSigned(served);
    const text = JSON.parse((await storage.get(jobKey(forged.id, "job"))).toString()).body;
    await storage.put(jobKey(forged.id, "job"), sealJson({ ...text, tags: { other: "yes" } }));
    const cancelled = await addSigned(served);
    await storage.put(jobKey(cancelled.id, "cancel"), sealJson({}));
    const silent = await addSigned(served, { replyKey: undefined });
    await served.serveOnce([...NO_DEVICES, ...KEYS]);
    assert.equal((await signedError(served, done.id)).code, "DeviceNotFound");
    assert.equal((await signedError(served, forged.id)).code, "JobSignatureInvalid");
    assert.equal((await signedError(served, cancelled.id)).code, "Cancelled");
    const status = await readStatus(storage, done.id, await repliesOf(served, done.id));
    assert.equal(status?.job, done.id);
    await assert.rejects(readStatus(storage, done.id, UNSIGNED_REPLIES), { code: "JobRefused" });
    assert.equal((await served.errorOf(silent.id)).code, "DeviceNotFound", "nobody wants its replies signed");
  });

  test("refuses a job whose controller wants another reply key, as does one without", async () => {
    const served = await emptyRepository();
    const other = await addSigned(served, { replyKey: key });
    await served.serveOnce([...NO_DEVICES, ...KEYS]);
    const { code, message } = await served.errorOf(other.id);
    assert.equal(code, "JobRefused");
    assert.ok(message.includes(replyKey), message);
    const wanted = await addSigned(served);
    await served.serveOnce([...NO_DEVICES, "--job-key", key]);
    const { code: alsoRefused, remedy } = await served.errorOf(wanted.id);
    assert.equal(alsoRefused, "JobRefused");
    assert.match(remedy, /--reply-key.*BLOCKFERRY_REPLY_KEY/);
  });

  rootTest("does not consider a restore started because of a heartbeat that it has not signed", async () => {
    const served = await emptyRepository();
    const { config, storage } = served.repository;
    const devices = await TestDevices.create();
    const [image, disk] = [join(await tempFolder(), "image"), join(await tempFolder(), "disk")];
    const random = SeededRandom.fresh();
    await writeRandomFile(image, MIB, random);
    await writeRandomFile(disk, MIB, random);
    await devices.attachNvme("nvme1n1", volume.volumeId.replace("-", ""), disk);
    const backup = ["backup", "--repo", served.repo, "--device", `${image}=${volume.name}`];
    const { point } = await agentJson<{ point: string }>(...backup);
    const { origin: _, ...target } = volume;
    const { instance: __, tags: ___, options: ____, ...common } = makeJob(config.id, [volume], { replyKey });
    const figures = {
      totalBytes: 0,
      doneBytes: 0,
      zeroBytes: 0,
      duplicateBytes: 0,
      newBytes: 0,
      storedBytes: 0,
    };
    const start = async (): Promise<string> => {
      const job: RestoreJob = {
        ...{ ...common, id: newJobId(new Date()), point, volumes: [target], options: { threads: null } },
        kind: "restore",
      };
      await writeJob(storage, job, signedBy(key, config));
      return job.id;
    };
    const status = (job: string): JobStatus => ({
      ...{ version: 1, job, worker: WORKER, state: "running", sequence: 1, ...figures },
      updatedAt: new Date().toISOString(),
    });
    const [unsigned, replayed] = [await start(), await start()];
    await writeStatus(storage, status(unsigned), UNSIGNED_REPLIES);
    await writeStatus(storage, status(replayed), await repliesOf(served, unsigned));
    await served.serveOnce([...devices.options, ...KEYS]);
    for (const job of [unsigned, replayed])
      assert.equal((await signedError(served, job)).code, "TargetNotEmpty", job);
    const begun = await start();
    await writeStatus(storage, status(begun), await repliesOf(served, begun));
    await served.serveOnce([...devices.options, ...KEYS]);
    const result = await readResult(storage, begun, await repliesOf(served, begun));
    assert.deepEqual(result?.outcome, { ok: true, point });
  });
});

test("a job that is signed for a repository encrypted otherwise, or by an older controller, is refused", async () => {
  const served = await emptyRepository();
  const { config, storage } = served.repository;
  const encrypted = await addSigned(served, {}, "ab".repeat(32));
  const old = makeJob(config.id, [volume]);
  const place = { repository: config.id, encryption: "none", id: old.id, worker: old.worker };
  const signing = signedBy(key, config);
  const mac = (await signing?.key.mac(oldJobMessage(place, JSON.stringify(old))))?.toString("base64");
  await storage.put(jobKey(old.id, "job"), sealJson({ ...old, signature: { keyArn: key, mac } }));
  await served.serveOnce([...NO_DEVICES, ...KEYS]);
  assert.equal((await signedError(served, encrypted.id)).code, "JobSignatureInvalid");
  const { code, remedy } = await served.errorOf(old.id);
  assert.equal(code, "JobSignatureInvalid");
  assert.match(remedy, /Update the controller/);
});
