import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  CreateGrantCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  PutKeyPolicyCommand,
} from "@aws-sdk/client-kms";
import { startLab } from "../lab/lab.js";
import { createKey } from "../lab/lab-keys.js";
import { startAgent } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { writeRandomFile } from "../support/random-files.js";
import { failure, filesBelow } from "../support/repositories.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";

const lab = await startLab();
const { source, worker } = lab;

const run = (...args: string[]) =>
  startAgent([...args, "--json"], { ...lab.env, BLOCKFERRY_PASSPHRASE: "" }).result;

async function runs<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(...args);
  assert.equal(code, 0, `${args.join(" ")}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as T;
}

const fails = async (...args: string[]) => failure(1, await run(...args));

async function newEncrypted(key: string): Promise<string> {
  const repo = join(await tempFolder(), "repo");
  await runs("init", "--repo", repo, "--encrypt", `kms:${key}`);
  return repo;
}

interface Keys {
  keys: { id: string; kind: string; keyArn?: string }[];
}

test(
  "a repository with a KMS key is opened by anyone who may use the key, and rotated to another key without touching data",
  fullDepthOnly,
  seeded(async (random) => {
    const [first, second] = [await createKey(worker), await createKey(worker)];
    const repo = await newEncrypted(first);
    const image = join(repo, "..", "disk.img");
    await writeRandomFile(image, 3_000_000, random);
    const { point } = await runs<{ point: string }>("backup", "--repo", repo, "--device", image);
    const objects = (await filesBelow(repo)).filter((path) => !path.includes("/keys/"));
    const before = await Promise.all(objects.map((path) => readFile(path)));
    const { keys } = await runs<Keys>("key", "list", "--repo", repo);
    assert.deepEqual(
      keys.map(({ kind, keyArn }) => [kind, keyArn]),
      [["kms", first]],
    );
    const [old] = keys;
    await runs("key", "rotate", old?.id ?? "", "--with", `kms:${second}`, "--repo", repo);
    await worker.kms.send(new DisableKeyCommand({ KeyId: first }));
    const target = join(repo, "..", "restored.img");
    await runs("restore", "--repo", repo, "--point", point, "--target", target);
    await assertSameContent(target, image);
    assert.deepEqual(await Promise.all(objects.map((path) => readFile(path))), before);
  }),
);

test("the error for a disabled, unknown or forbidden key names the key and the role, with a remedy", async () => {
  const disabled = await createKey(worker);
  const repo = await newEncrypted(disabled);
  await worker.kms.send(new DisableKeyCommand({ KeyId: disabled }));
  const error = await fails("list", "--repo", repo);
  assert.equal(error.code, "KeyNotUsable");
  assert.ok(error.message.includes(`kms:Decrypt with ${disabled}`) && /disabled/.test(error.message));
  assert.ok(error.remedy.includes(`aws kms enable-key --key-id ${disabled}`), error.remedy);
  await worker.kms.send(new EnableKeyCommand({ KeyId: disabled }));
  await runs("list", "--repo", repo);

  const unknown = `arn:aws:kms:us-east-1:${worker.accountId}:key/11111111-2222-3333-4444-555555555555`;
  const nowhere = join(await tempFolder(), "repo");
  const missing = await fails("init", "--repo", nowhere, "--encrypt", `kms:${unknown}`);
  assert.deepEqual([missing.code, missing.object], ["KeyNotUsable", unknown]);
  assert.deepEqual(await filesBelow(nowhere), [], "nothing was made");

  const foreign = await createKey(source);
  const denied = await fails("init", "--repo", nowhere, "--encrypt", `kms:${foreign}`);
  assert.equal(denied.code, "KeyNotUsable");
  assert.match(denied.message, /User: arn:aws:\S+ is not authorized to perform: kms:GenerateDataKey/);
  assert.ok(denied.remedy.includes(`kms:GenerateDataKey on ${foreign}`), denied.remedy);
});

test("a grant is enough, and a right that is taken away is missed", async () => {
  const key = await createKey(source, [worker.accountId]);
  const repo = await newEncrypted(key);
  const owner = {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${source.accountId}:root` },
    Action: "kms:*",
    Resource: "*",
  };
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [owner] });
  await source.kms.send(new PutKeyPolicyCommand({ KeyId: key, PolicyName: "default", Policy }));
  const denied = await fails("list", "--repo", repo);
  assert.equal(denied.code, "KeyNotUsable");
  assert.match(denied.message, /not authorized to perform: kms:Decrypt/);
  const GranteePrincipal = `arn:aws:iam::${worker.accountId}:root`;
  await source.kms.send(new CreateGrantCommand({ KeyId: key, GranteePrincipal, Operations: ["Decrypt"] }));
  await runs("list", "--repo", repo);
});

test("rotation to a key that cannot open keeps the old one; of several keys any one serves", async () => {
  const [usable, other] = [await createKey(worker), await createKey(worker)];
  const repo = await newEncrypted(usable);
  const { keys } = await runs<Keys>("key", "list", "--repo", repo);
  const oneWay = await createKey(source);
  const grant = { KeyId: oneWay, GranteePrincipal: `arn:aws:iam::${worker.accountId}:root` };
  await source.kms.send(new CreateGrantCommand({ ...grant, Operations: ["GenerateDataKey"] }));
  const error = await fails("key", "rotate", keys[0]?.id ?? "", "--with", `kms:${oneWay}`, "--repo", repo);
  assert.deepEqual([error.code, error.object], ["KeyNotUsable", oneWay]);
  const listed = await runs<Keys & { damaged: unknown[] }>("key", "list", "--repo", repo);
  assert.deepEqual([listed.keys, listed.damaged], [keys, []]);

  await runs("key", "add", "--with", `kms:${other}`, "--repo", repo);
  await worker.kms.send(new DisableKeyCommand({ KeyId: usable }));
  await runs("list", "--repo", repo);
  await worker.kms.send(new DisableKeyCommand({ KeyId: other }));
  const locked = await fails("list", "--repo", repo);
  assert.deepEqual(
    [locked.code, locked.object],
    ["KeyNotUsable", "keys/"],
    "which may pass, unlike a lost key",
  );
  assert.ok(locked.message.includes(usable) && locked.message.includes(other), locked.message);
});
