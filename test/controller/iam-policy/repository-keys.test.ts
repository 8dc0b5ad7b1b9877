import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryKeysOf } from "../../../controller/iam-policy/keys.js";
import type { RepositoryKey } from "../../../repository/encryption/aes-gcm.js";
import {
  type KeyRecord,
  keyRecordKey,
  wrapKey,
  writeKeyRecord,
} from "../../../repository/encryption/key-record.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { initRepository, inspectRepository } from "../../../repository/open/repository.js";
import { openStorage, parseStorageLocation } from "../../../repository/storage/open-storage.js";
import type { StorageLocation } from "../../../repository/storage/storage.js";
import { startLab } from "../../lab/lab.js";
import { createKey } from "../../lab/lab-keys.js";
import { newKey, PASSPHRASE } from "../../support/encryption.js";
import { tempFolder } from "../../support/temp-folder.js";

/** This process uses keys as the worker's account. */
const lab = await startLab();
Object.assign(process.env, lab.env);
const CALLER = { profile: undefined };
const FOREIGN = "arn:aws:kms:us-east-1:999999999999:key/99999999-9999-4999-8999-999999999999";

interface Encrypted {
  location: StorageLocation;
  key: RepositoryKey;
  arn: string;
}

/** Makes a repository that a key of the worker's account opens. */
async function encrypted(): Promise<Encrypted> {
  const location = parseStorageLocation(join(await tempFolder(), "repo"));
  const arn = await createKey(lab.worker);
  const { location: opened } = await initRepository(location, { kind: "kms", arn });
  assert.ok(opened.key !== undefined);
  return { location, key: opened.key, arn };
}

/** Puts a record below `keys/`, as an attacker who may write there can. */
async function plant({ location }: Encrypted, record: KeyRecord, keyArn: string): Promise<void> {
  const storage = await openStorage(location);
  const from = { ...record.from, keyArn };
  await storage.put(keyRecordKey(record.id), sealJson({ ...record, from }));
}

test("a policy names the key that a repository was opened with, and every other one that opens it", async () => {
  const repository = await encrypted();
  const second = await createKey(lab.worker);
  const storage = await openStorage(repository.location);
  await writeKeyRecord(storage, await wrapKey(repository.key, { kind: "kms", arn: second }, CALLER));
  const { arns, notes } = await repositoryKeysOf(repository.location, []);
  assert.deepEqual(new Set(arns), new Set([repository.arn, second]));
  assert.deepEqual(notes, []);
});

for (const wild of [
  "*",
  "arn:aws:kms:*:*:key/*",
  "arn:aws:kms:us-east-1:999999999999:key/*",
  "arn:aws:kms:us-east-1:999999999999:key/99999999-9999-4999-8999-99999999999?",
  "arn:aws:kms:us-east-1:999999999999:alias/backups",
  "arn:aws:iam::999999999999:role/admin",
  "arn:aws:kms:us-east-1:999999999999:key/$(reboot)",
]) {
  test(`a record that names ${wild} is refused, and no policy names it`, async () => {
    const victim = await encrypted();
    await plant(victim, await wrapKey(victim.key, { kind: "kms", arn: victim.arn }, CALLER), wild);
    const { damaged } = await inspectRepository(victim.location);
    assert.deepEqual(
      damaged.map(({ code }) => code),
      ["RepositoryUnsupported"],
    );
    const { arns, notes } = await repositoryKeysOf(victim.location, []);
    assert.deepEqual(arns, [victim.arn]);
    assert.match(notes.join("\n"), /^keys\/[0-9a-f]{16}\.json is left out: /);
  });
}

test("no policy names a planted key, whose record KMS does not open", async () => {
  const victim = await encrypted();
  await plant(victim, await wrapKey(victim.key, { kind: "kms", arn: victim.arn }, CALLER), FOREIGN);
  const { arns, notes } = await repositoryKeysOf(victim.location, []);
  assert.deepEqual(arns, [victim.arn]);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? "", new RegExp(`^${FOREIGN} of keys/[0-9a-f]{16}.json is not proven`));
});

test("no policy names an attacker's KMS key, whose record wraps another data key", async () => {
  const victim = await encrypted();
  const theirs = await createKey(lab.source, [lab.worker.accountId]);
  const planted = { ...newKey(), repository: victim.key.repository };
  const storage = await openStorage(victim.location);
  await writeKeyRecord(storage, await wrapKey(planted, { kind: "kms", arn: theirs }, CALLER));
  const { arns, notes } = await repositoryKeysOf(victim.location, []);
  assert.deepEqual(arns, [victim.arn]);
  assert.match(notes.join(), /it wraps another data key/);
});

test("no policy names a key if the repository cannot be opened, and the note gives the reason", async () => {
  const victim = await encrypted();
  await plant(victim, await wrapKey(victim.key, { kind: "kms", arn: victim.arn }, CALLER), FOREIGN);
  const storage = await openStorage(victim.location);
  const { keys } = await inspectRepository(victim.location);
  const own = keys.find(({ from }) => from.kind === "kms" && from.keyArn === victim.arn);
  await storage.delete([keyRecordKey(own?.id ?? "")]);
  const { arns, notes } = await repositoryKeysOf(victim.location, []);
  assert.deepEqual(arns, []);
  assert.match(notes.join(), /the repository was not opened/);
});

test("a key that the operator names is taken without opening the repository, and the others are notes", async () => {
  const repository = await encrypted();
  const { arns, notes } = await repositoryKeysOf(repository.location, [FOREIGN]);
  assert.deepEqual(arns, [FOREIGN]);
  assert.match(notes.join("\n"), new RegExp(`^${repository.arn} .*--repository-key does not name it`));
});

test("a key is not named for a repository that is not encrypted", async () => {
  const location = parseStorageLocation(join(await tempFolder(), "plain"));
  await initRepository(location);
  await assert.rejects(repositoryKeysOf(location, [FOREIGN]), { code: "Usage" });
  assert.deepEqual(await repositoryKeysOf(location, []), { arns: [], notes: [] });
});

test("a repository with a passphrase alone has no key of KMS", async () => {
  process.env.BLOCKFERRY_PASSPHRASE = PASSPHRASE;
  const source = { kind: "environment", variable: "BLOCKFERRY_PASSPHRASE" } as const;
  const location = { ...parseStorageLocation(join(await tempFolder(), "repo")), passphrase: source };
  await initRepository(location, { kind: "passphrase", source, scryptN: 2 });
  assert.deepEqual(await repositoryKeysOf(location, []), { arns: [], notes: [] });
});
