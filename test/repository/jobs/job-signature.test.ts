import assert from "node:assert/strict";
import { createHash, createHmac, randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { type MacKey, signatureOf, withoutSignature } from "../../../repository/encryption/mac-key.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import {
  type Job,
  type JobPlace,
  jobMessage,
  newJobId,
  readJobText,
  writeJob,
} from "../../../repository/jobs/job.js";
import { jobKey } from "../../../repository/jobs/job-key.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { jobVolume, makeJob, readJob } from "../../support/jobs.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const keyArn = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111";

/** Computes what KMS computes with an HMAC_256 key. */
const mac = (message: Buffer) => createHmac("sha256", "a key of KMS").update(message).digest("base64");
const encryption = "ab".repeat(32);
const key: MacKey = { arn: keyArn, mac: async (message) => Buffer.from(mac(message), "base64") };
const placeOf = ({ repository, id, worker }: Job): JobPlace => ({ repository, encryption, id, worker });

async function signedJob() {
  const storage = new LocalDirectory(await tempFolder());
  const written = makeJob(randomUUID(), [jobVolume(0, MIB), jobVolume(1, 2 * MIB)]);
  await writeJob(storage, written, { key, encryption });
  const job = await readJob(storage, written.id);
  return { storage, written, job, signedText: await signedTextOf(storage, job) };
}

async function signedTextOf(storage: LocalDirectory, { id }: Job): Promise<string> {
  return withoutSignature(await readJobText(storage, id));
}

/** Seals a text, as `sealJson` does, that no object serializes to. */
function sealText(body: string): Buffer {
  const sha256 = createHash("sha256").update(body, "utf8").digest("hex");
  return Buffer.from(`{"sha256":"${sha256}","body":${body}}\n`);
}

type Fields = Record<string, unknown>;

/** Yields documents in which one value is changed or left out. */
function* changes(document: Fields): Generator<[what: string, changed: Fields]> {
  for (const path of pathsIn(document)) {
    const name = path.at(-1) ?? "";
    const left = structuredClone(document);
    delete parentIn(left, path)[name];
    yield [`${path.join("/")} left out`, left];
    const changed = structuredClone(document);
    const parent = parentIn(changed, path);
    parent[name] = otherThan(parent[name]);
    yield [`${path.join("/")} changed`, changed];
  }
}

function* pathsIn(value: unknown, path: string[] = []): Generator<string[]> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    yield [...path, name];
    yield* pathsIn(inner, [...path, name]);
  }
}

function parentIn(document: Fields, path: string[]): Fields {
  return path.slice(0, -1).reduce((value, name) => value[name] as Fields, document);
}

function otherThan(value: unknown): unknown {
  if (typeof value === "string") return `${value}0`;
  if (typeof value === "number") return value + 1;
  if (typeof value === "boolean") return !value;
  return Array.isArray(value) ? [...value, ...value] : 1;
}

describe("the signature of a job", () => {
  test("covers every byte of the job, and is valid for this job only", async () => {
    const { storage, job, written, signedText } = await signedJob();
    const { signature, ...rest } = job;
    assert.deepEqual(rest, written);
    assert.deepEqual(signature, { keyArn, mac: mac(jobMessage(placeOf(job), signedText)) });
    assert.deepEqual(JSON.parse(signedText), written);
    const stored = await storage.get(jobKey(job.id, "job"));
    assert.ok(stored.toString().includes(`"body":${signedText.slice(0, -1)},"signature":{`), "to the byte");
  });

  test("fits no document in which anything is changed, added or left out", async () => {
    const { storage, job, written } = await signedJob();
    const { signature, ...rest } = job;
    const place = placeOf(written);
    const tried = [...changes(rest), ["a field more", { ...rest, priority: 1 }] as const];
    assert.ok(tried.length > 100, `${tried.length} changes`);
    for (const [what, changed] of tried) {
      await storage.put(jobKey(job.id, "job"), sealJson({ ...changed, signature }));
      const text = await readJobText(storage, job.id);
      assert.deepEqual(signatureOf(text), signature, what);
      assert.notEqual(mac(jobMessage(place, withoutSignature(text))), signature?.mac, what);
    }
    await storage.put(jobKey(job.id, "job"), sealJson({ ...rest, signature }));
    const unchanged = await signedTextOf(storage, job);
    assert.equal(mac(jobMessage(place, unchanged)), signature?.mac, "unchanged, it fits");
  });

  test("fits no other job, worker or repository, and none that is encrypted otherwise", async () => {
    const { job, signedText } = await signedJob();
    const place = placeOf(job);
    for (const other of [
      { repository: randomUUID() },
      { id: newJobId(new Date(0)) },
      { worker: "i-0ccccccccccccccc3" },
      { encryption: "none" },
      { encryption: "cd".repeat(32) },
    ]) {
      assert.notEqual(mac(jobMessage({ ...place, ...other }, signedText)), job.signature?.mac);
    }
  });

  test("is invalid anywhere except at the end, and when it appears twice", async () => {
    const { storage, job } = await signedJob();
    const { signature, ...rest } = job;
    const key = jobKey(job.id, "job");
    await storage.put(key, sealJson({ signature, ...rest }));
    const moved = await signedTextOf(storage, job);
    assert.notEqual(mac(jobMessage(placeOf(job), moved)), signature?.mac);
    const twice = JSON.stringify({ signature, ...rest, again: signature }).replace('"again"', '"signature"');
    await storage.put(key, sealText(twice));
    const doubled = await signedTextOf(storage, job);
    assert.notEqual(mac(jobMessage(placeOf(job), doubled)), signature?.mac);
  });

  test("is left out of a job that is not signed, so that older agents take it", async () => {
    const storage = new LocalDirectory(await tempFolder());
    const job = makeJob(randomUUID(), [jobVolume(0, MIB)]);
    await writeJob(storage, job);
    const stored = await storage.get(jobKey(job.id, "job"));
    assert.deepEqual(JSON.parse(stored.toString()).body, job);
  });

  test("is a message that KMS takes, however long the job is", async () => {
    const { job } = await signedJob();
    assert.ok(jobMessage(placeOf(job), "x".repeat(1_000_000)).length < 4096);
  });
});
