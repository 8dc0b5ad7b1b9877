import assert from "node:assert/strict";
import { createHash, createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import * as z from "zod/mini";
import { sealJson } from "../../../repository/format/sealed-json.js";
import {
  type Authorship,
  DocumentKey,
  journalAuthorship,
  Replies,
  readClaimed,
  readSigned,
  sealSigned,
} from "../../../repository/jobs/signed-document.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { localMacKey } from "../../support/job-keys.js";
import { tempFolder } from "../../support/temp-folder.js";

const repository = randomUUID();
const id = "job-20261124T120000Z-0123abcd";
const worker = "i-0aaaaaaaaaaaaaaa1";
const place = { repository, id, worker };
const KEY = "jobs/x/status.json";
const Schema = z.strictObject({ state: z.string(), sequence: z.number() });
const BODY = { state: "running", sequence: 7 };

const macKey = localMacKey("one");
const replies = new Replies(await DocumentKey.forReplies(macKey, place), place);

async function stored(body: Uint8Array): Promise<LocalDirectory> {
  const storage = new LocalDirectory(await tempFolder());
  await storage.put(KEY, body);
  return storage;
}

async function read(body: Uint8Array, authorship: Authorship) {
  return readSigned(await stored(body), KEY, Schema, authorship);
}

/** Returns a signed document with changed fields, its old signature, and a valid seal. */
function forged(changes: object): Buffer {
  const { body } = JSON.parse(sealSigned(BODY, replies.as("status")).toString());
  const { signature, ...rest } = body;
  return sealJson({ ...rest, ...changes, signature });
}

describe("a signed document", () => {
  test("is read as it was written, by another process with the same key of KMS", async () => {
    const again = new Replies(await DocumentKey.forReplies(localMacKey("one"), place), place);
    assert.deepEqual(await read(sealSigned(BODY, replies.as("status")), again.as("status")), BODY);
  });

  test("bears the MAC of the example in docs/jobs.md", async () => {
    const there = { ...place, repository: "6f1f2c0e-3f0a-4b69-9d0c-0a4f4f8a2f6e" };
    const example = new Replies(await DocumentKey.forReplies(macKey, there), there);
    const { body } = JSON.parse(sealSigned(BODY, example.as("status")).toString());
    const text = await readFile(new URL("../../../../docs/jobs.md", import.meta.url), "utf8");
    assert.ok(text.includes(`has the \`mac\` \`${body.signature.mac}\``), body.signature.mac);
  });

  test("bears the HMAC of its kind, place and text, by a key of its job and worker", () => {
    const { body } = JSON.parse(sealSigned(BODY, replies.as("result")).toString());
    const secret = createHmac("sha256", "one")
      .update(`blockferry reply key 1\nrepository ${repository}\njob ${id}\nworker ${worker}\n`)
      .digest();
    const digest = createHash("sha256").update(JSON.stringify(BODY)).digest("hex");
    const mac = createHmac("sha256", secret)
      .update(
        `blockferry result 1\nrepository ${repository}\njob ${id}\nworker ${worker}\nsha256 ${digest}\n`,
      )
      .digest("base64");
    assert.deepEqual(body.signature, { keyArn: macKey.arn, mac });
  });

  test("fits no change, no other kind, job, worker, repository or key, and no other term", async () => {
    const invalid = { code: "JobSignatureInvalid", object: KEY };
    const signed = sealSigned(BODY, replies.as("status"));
    await assert.rejects(read(forged({ sequence: 8 }), replies.as("status")), invalid);
    await assert.rejects(read(forged({ more: 1 }), replies.as("status")), invalid);
    await assert.rejects(read(signed, replies.as("result")), invalid);
    for (const other of [
      { id: "job-20261124T120001Z-0123abcd" },
      { worker: "i-0b" },
      { repository: randomUUID() },
    ]) {
      const there = { ...place, ...other };
      const elsewhere = new Replies(await DocumentKey.forReplies(macKey, there), there);
      await assert.rejects(read(signed, elsewhere.as("status")), invalid);
    }
    const stranger = new Replies(await DocumentKey.forReplies(localMacKey("two"), place), place);
    await assert.rejects(read(signed, stranger.as("status")), invalid);
    const journals = await DocumentKey.forJournals(macKey, place);
    const first = sealSigned(BODY, journalAuthorship(journals, { ...place, term: 1 }));
    assert.deepEqual(await read(first, journalAuthorship(journals, { ...place, term: 1 })), BODY);
    await assert.rejects(read(first, journalAuthorship(journals, { ...place, term: 3 })), invalid);
  });

  test("is refused without its signature, and without the key that would prove it", async () => {
    const unsigned = sealSigned(BODY, new Replies(undefined, place).as("status"));
    assert.deepEqual(unsigned, sealJson(BODY), "as it was before there were signatures");
    await assert.rejects(read(unsigned, replies.as("status")), { code: "JobUnsigned", object: KEY });
    const signed = sealSigned(BODY, replies.as("status"));
    await assert.rejects(read(signed, new Replies(undefined, place).as("status")), {
      code: "JobRefused",
      remedy: new RegExp(`--reply-key ${macKey.arn}`),
    });
    assert.deepEqual(await readClaimed(await stored(signed), KEY, Schema), BODY);
  });

  test("cut short anywhere is damaged, and never read", async () => {
    const signed = sealSigned(BODY, replies.as("status"));
    for (let length = 0; length < signed.length; length += 7) {
      const cut = read(signed.subarray(0, length), replies.as("status"));
      await assert.rejects(cut, { code: "ObjectCorrupt" }, `${length} bytes`);
    }
  });
});
