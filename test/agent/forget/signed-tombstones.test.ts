import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CopyReport } from "../../../agent/maintenance/copy.js";
import { pointKey } from "../../../repository/format/recovery-point.js";
import { sealJson, unsealText } from "../../../repository/format/sealed-json.js";
import { openRepository, type Repository } from "../../../repository/open/repository.js";
import { findPredecessor, removePoint, writePoint } from "../../../repository/points/points.js";
import { forgetPoint, type TombstoneKey, tombstoneKey } from "../../../repository/points/tombstone.js";
import { parseStorageLocation } from "../../../repository/storage/open-storage.js";
import { FIXTURE_PASSPHRASE, FIXTURES } from "../../fixtures/fixtures.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../../support/encryption.js";
import { startFaultProxy } from "../../support/fault-proxy.js";
import { verifyInProcess } from "../../support/in-process.js";
import { newMacKey } from "../../support/job-keys.js";
import { daysFromNow, emptyPoint } from "../../support/planted-points.js";
import {
  agentFails,
  initPlain,
  newRepository,
  pointIds,
  type VerifyOutput,
} from "../../support/repositories.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const { endpointUrl } = await startS3Server("moto");
const key = await newMacKey();
const otherKey = await newMacKey();
const UNKNOWN_KEY = key.replace(/key\/.*/, "key/00000000-0000-4000-8000-000000000000");

type Ids = [first: string, second: string, third: string];

/** Writes three points, each of which names the one before it. */
async function addPoints({ storage, config }: Repository): Promise<Ids> {
  const ids: Ids = ["", "", ""];
  for (let count = 0; count < 3; count++) {
    const previous = await findPredecessor(storage);
    const point = emptyPoint(config.id, daysFromNow(count - 3), { version: 3, previous });
    await writePoint(storage, point);
    ids[count] = point.id;
  }
  return ids;
}

async function threePoints(init = initPlain) {
  const repo = join(await tempFolder(), "repo");
  await init(repo);
  const repository = await openWithPassphrase(repo);
  const ids = await addPoints(repository);
  return { ...repository, repo, repository, ids };
}

function keyOf(repository: string, arn = key): TombstoneKey {
  return { repository, key: { arn, profile: undefined } };
}

/** Returns the problems that `verify` finds, with or without the key. */
async function problemsOf(repository: Repository, tombstoneKey?: TombstoneKey): Promise<string[]> {
  const { problems } = await verifyInProcess(repository, 0, { tombstoneKey });
  return problems.map(({ code, object }) => `${code} ${object}`);
}

async function bodyOf({ storage }: Pick<Repository, "storage">, id: string): Promise<object> {
  return JSON.parse(unsealText(await storage.get(tombstoneKey(id)), id));
}

for (const [kind, init] of [
  ["plain", initPlain],
  ["encrypted", initEncrypted],
] as const) {
  test(`a signed tombstone excuses the point that was forgotten, and no other (${kind})`, async () => {
    const { repo, repository, storage, ids } = await threePoints(init);
    const [first, second] = ids;
    await agentJson("forget", second, "--repo", repo, "--tombstone-key", key);
    assert.equal(
      (await agentFails(1, "verify", "--repo", repo, "--tombstone-key", UNKNOWN_KEY)).code,
      "KeyNotUsable",
    );
    const verified = await agentJson<VerifyOutput>("verify", "--repo", repo, "--tombstone-key", key);
    assert.deepEqual([verified.problems, verified.uncheckedTombstones], [[], 0]);
    const { code, stdout } = await agent("verify", "--repo", repo);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^1 tombstones are signed, but were not checked; --tombstone-key checks them\.$/m);

    // The tombstone still names the point before it.
    await removePoint(storage, first);
    const removed = [`PointRemoved ${pointKey(first)}`];
    assert.deepEqual(await problemsOf(repository, keyOf(repository.config.id)), removed);
    assert.deepEqual(await problemsOf(repository), removed);
  });
}

/** Replaces the tombstone of the second point, as an attacker who may write but not sign. */
interface Forgery {
  what: string;
  code: "TombstoneUnsigned" | "ObjectCorrupt";
  forge(repository: Repository, ids: Ids): Promise<void>;
}

const plant = async ({ storage }: Repository, id: string, body: object) =>
  storage.put(tombstoneKey(id), sealJson(body));

/** Changes fields of the tombstone that `forget` has signed, and keeps the signature. */
const changed = (what: string, changes: object): Forgery => ({
  ...{ what, code: "ObjectCorrupt" },
  forge: async (repository, [, second]) => {
    const { storage, config } = repository;
    await forgetPoint(storage, config, second, keyOf(config.id));
    const { signature, ...rest } = (await bodyOf(repository, second)) as { signature: object };
    await plant(repository, second, { ...rest, ...changes, signature });
  },
});

const signedWith = (what: string, tombstoneKey: (repository: string) => TombstoneKey): Forgery => ({
  ...{ what, code: "ObjectCorrupt" },
  forge: ({ storage, config }, [, second]) => forgetPoint(storage, config, second, tombstoneKey(config.id)),
});

/** Writes the tombstone of another forgotten point under the name of this one. */
const replayed = (what: string, changes: (second: string) => object): Forgery => ({
  ...{ what, code: "ObjectCorrupt" },
  forge: async (repository, [first, second]) => {
    const { storage, config } = repository;
    await forgetPoint(storage, config, first, keyOf(config.id));
    await plant(repository, second, { ...(await bodyOf(repository, first)), ...changes(second) });
  },
});

const FORGERIES: Forgery[] = [
  {
    ...{ what: "is not signed", code: "TombstoneUnsigned" },
    forge: ({ storage, config }, [, second]) => forgetPoint(storage, config, second),
  },
  {
    ...{ what: "has lost its signature", code: "TombstoneUnsigned" },
    forge: async (repository, [, second]) => {
      const { storage, config } = repository;
      await forgetPoint(storage, config, second, keyOf(config.id));
      await plant(repository, second, { ...(await bodyOf(repository, second)), signature: undefined });
    },
  },
  changed("names another predecessor", { previous: null }),
  changed("has another hash", { sha256: "ab".repeat(32) }),
  changed("has no hash", { sha256: null }),
  changed("has another time", { forgottenAt: "2026-01-01T00:00:00.000Z" }),
  changed("has a field more", { reason: "retention" }),
  replayed("is another point's, renamed", () => ({})),
  replayed("is another point's, with this one's id", (point) => ({ point })),
  signedWith("was signed for another repository", () => keyOf(randomUUID())),
  signedWith("was signed with another key", (repository) => keyOf(repository, otherKey)),
];

describe("verify names a point", () => {
  for (const { what, code, forge } of FORGERIES) {
    test(`that is gone and whose tombstone ${what}`, async () => {
      const { repository, storage, config, ids } = await threePoints();
      const [, second] = ids;
      await forge(repository, ids);
      await removePoint(storage, second);
      const { problems } = await verifyInProcess(repository, 0, { tombstoneKey: keyOf(config.id) });
      const found = problems.map((problem) => `${problem.code} ${problem.object}`);
      assert.deepEqual(found, [`${code} ${tombstoneKey(second)}`]);
      const [{ message = "", remedy = "" } = {}] = problems;
      assert.ok(message.startsWith(`Recovery point ${second} is gone`) && message.includes(key), message);
      assert.ok(remedy.includes(`forget ${second} --tombstone-key ${key}`), remedy);
    });
  }
});

test("a planted tombstone for an existing point is named, and the remedy is to keep the point", async () => {
  const { repository, config, ids } = await threePoints();
  const [, second, third] = ids;
  for (const id of [second, third]) {
    const fields = { sha256: null, previous: null, forgottenAt: "2026-01-01T00:00:00.000Z", owner: "o" };
    await plant(repository, id, { version: 3, point: id, ...fields });
  }
  const { problems } = await verifyInProcess(repository, 0, { tombstoneKey: keyOf(config.id) });
  assert.deepEqual(
    problems.map(({ code, message }) => [code, message.slice(0, message.indexOf(","))]),
    [second, third].map((id) => ["TombstoneUnsigned", `Recovery point ${id} is there`]),
  );
  for (const { remedy } of problems) assert.match(remedy, /^Keep the point/);
});

test("a forget that is killed between tombstone and removal leaves a signed one, and the next one ends it", async () => {
  process.env.BLOCKFERRY_PASSPHRASE = "";
  const repo = `s3://${BUCKET}/killed`;
  const options = ["--repo", repo];
  await agentJson("init", ...options);
  const repository = await openRepository(parseStorageLocation(repo));
  const [, second] = await addPoints(repository);
  const proxy = await startFaultProxy(endpointUrl);
  const isRemoval = ({ method, url }: { method: string; url: string }) =>
    method === "DELETE" || (method === "POST" && url.includes("delete"));
  proxy.chooseFault = (request) => (isRemoval(request) ? "stall-request" : undefined);
  const forget = ["forget", second, ...options, "--tombstone-key", key];
  const killed = startAgent(forget, { AWS_ENDPOINT_URL: proxy.endpointUrl });
  await waitUntil("the removal of the point", () => proxy.requests.some(isRemoval));
  killed.process.kill("SIGKILL");
  await killed.result;
  const tombstoneKey = keyOf(repository.config.id);
  assert.deepEqual(await problemsOf(repository, tombstoneKey), [`PointReturned ${pointKey(second)}`]);
  await agentJson(...forget);
  assert.deepEqual(await problemsOf(repository, tombstoneKey), []);
});

test("a forget without the key replaces no signed tombstone, but still removes the point", async () => {
  const { repo, repository, storage, config, ids } = await threePoints();
  const [, second] = ids;
  const point = await storage.get(pointKey(second));
  await forgetPoint(storage, config, second, keyOf(config.id));
  const tombstone = await storage.get(tombstoneKey(second));
  await storage.put(pointKey(second), point);
  await agentJson("forget", second, "--repo", repo);
  assert.deepEqual(await storage.get(tombstoneKey(second)), tombstone);
  assert.deepEqual(await problemsOf(repository, keyOf(config.id)), []);
});

test("forget signs the tombstone of a point that is gone, as it is, when it gets the key and the whole id", async () => {
  const { repo, repository, config, ids } = await threePoints();
  const [, second] = ids;
  await agentJson("forget", second, "--repo", repo);
  const before = await bodyOf(repository, second);
  const { stdout } = await startAgent(["forget", second, "--repo", repo, "--json"], {
    BLOCKFERRY_TOMBSTONE_KEY: key,
  }).result;
  assert.deepEqual(JSON.parse(stdout).forgotten, [second]);
  const { signature: _, ...after } = (await bodyOf(repository, second)) as { signature: object };
  assert.deepEqual(after, before);
  assert.deepEqual(await problemsOf(repository, keyOf(config.id)), []);
  const beginning = second.slice(0, -1);
  assert.equal(
    (await agentFails(1, "forget", beginning, "--repo", repo, "--tombstone-key", key)).code,
    "PointNotFound",
  );
});

test("a key that cannot sign ends forget before anything is written or removed", async () => {
  const { repo, storage, ids } = await threePoints();
  const error = await agentFails(1, "forget", ids[0], "--repo", repo, "--tombstone-key", UNKNOWN_KEY);
  assert.deepEqual([error.code, error.object], ["KeyNotUsable", UNKNOWN_KEY]);
  assert.deepEqual([await storage.list("forgotten/"), await pointIds(repo)], [[], ids]);
  const usage = await agentFails(2, "forget", ids[0], "--repo", repo, "--tombstone-key", "alias/tombstones");
  assert.equal(usage.code, "Usage");
});

test(
  "a copy with the key leaves out points that were forgotten there, but not those with a forged tombstone",
  fullDepthOnly,
  async () => {
    const { repo: from, storage, repository, config, ids } = await threePoints();
    const [first, second, third] = ids;
    const to = await newRepository(await tempFolder(), "to");
    const copy = (...more: string[]) => agentJson<CopyReport>("copy", "--from", from, "--to", to, ...more);
    await copy();
    await agentJson("forget", first, "--repo", to, "--tombstone-key", key);
    const target = await openRepository(to);
    await forgetPoint(target.storage, target.config, second);
    const tombstones = await Promise.all([first, second].map((id) => target.storage.get(tombstoneKey(id))));
    assert.deepEqual((await copy()).forgotten, [first, second]);
    const { copied, forgotten } = await copy("--tombstone-key", key);
    assert.deepEqual([copied, forgotten], [[second], [first]]);

    // Neither copy nor prune touches a tombstone.
    await forgetPoint(storage, config, third, keyOf(config.id));
    const signed = await storage.get(tombstoneKey(third));
    await agentJson("prune", "--repo", from, "--grace-period", "0s");
    await agentJson("copy", "--from", to, "--to", from, third);
    assert.deepEqual(await storage.get(tombstoneKey(third)), signed);
    assert.deepEqual(await problemsOf(repository, keyOf(config.id)), [`PointReturned ${pointKey(third)}`]);
    const kept = await Promise.all([first, second].map((id) => target.storage.get(tombstoneKey(id))));
    assert.deepEqual(kept, tombstones);
  },
);

for (const format of ["format-1", "format-2"]) {
  test(`a repository of ${format} has no tombstones, and the option is refused there`, async () => {
    process.env.BLOCKFERRY_PASSPHRASE = FIXTURE_PASSPHRASE;
    const folder = await tempFolder();
    const repo = join(folder, "repo");
    await cp(join(FIXTURES, format, "repository"), repo, { recursive: true });
    const empty = await newRepository(folder, "empty");
    const [point = ""] = await pointIds(repo);
    for (const command of [
      ["verify", "--repo", repo],
      ["forget", point, "--repo", repo],
      ["copy", "--from", empty, "--to", repo],
    ]) {
      const { code, message } = await agentFails(2, ...command, "--tombstone-key", key);
      assert.deepEqual([code, /has no tombstones/.test(message)], ["Usage", true], message);
    }
  });
}
