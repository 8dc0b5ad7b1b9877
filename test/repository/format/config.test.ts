import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import { CONFIG_KEY } from "../../../repository/format/config.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { initRepository, openRepository } from "../../../repository/open/repository.js";
import { tempFolder } from "../../support/temp-folder.js";

test("a repository opens with the config that it was made with", async () => {
  const folder = join(await tempFolder(), "new", "repo");
  const made = await initRepository(folder);
  const opened = await openRepository(folder);
  assert.deepEqual(opened.config, made.config);
  assert.equal(opened.config.chunkBytes, CHUNK_BYTES);
  assert.deepEqual(opened.location, { kind: "directory", path: folder });
});

test("a second init is refused and changes nothing", async () => {
  const folder = await tempFolder();
  await initRepository(folder);
  const before = await readFile(join(folder, CONFIG_KEY));
  await assert.rejects(initRepository(folder), { code: "RepositoryExists", object: CONFIG_KEY });
  assert.ok((await readFile(join(folder, CONFIG_KEY))).equals(before));
});

test("of many inits at once exactly one makes the repository, and all see its config", async () => {
  const folder = await tempFolder();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => initRepository(folder)));
  const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.config] : []));
  assert.equal(made.length, 1);
  for (const result of results) {
    if (result.status === "rejected") assert.equal(result.reason.code, "RepositoryExists");
  }
  assert.deepEqual((await openRepository(folder)).config, made[0]);
});

test("a folder without a config is not a repository", async () => {
  const folder = await tempFolder();
  await assert.rejects(openRepository(folder), { code: "RepositoryNotFound" });
  await assert.rejects(openRepository(join(folder, "missing")), { code: "RepositoryNotFound" });
});

test("a damaged config is named as damaged", async () => {
  const folder = await tempFolder();
  await initRepository(folder);
  const intact = await readFile(join(folder, CONFIG_KEY));
  for (const damaged of [Buffer.alloc(0), intact.subarray(1), intact.subarray(0, -1), Buffer.from("{}\n")]) {
    await writeFile(join(folder, CONFIG_KEY), damaged);
    await assert.rejects(openRepository(folder), { code: "ObjectCorrupt", object: CONFIG_KEY });
  }
});

const KEY_CHECK = "0".repeat(64);

async function refuses(folder: string, body: unknown, message: RegExp): Promise<void> {
  await writeFile(join(folder, CONFIG_KEY), sealJson(body));
  const error = { code: "RepositoryUnsupported", object: CONFIG_KEY, message };
  await assert.rejects(openRepository(folder), error, JSON.stringify(body));
}

test("an unknown format, version, chunk size or encryption mode is refused as unsupported", async () => {
  const folder = await tempFolder();
  const { config } = await initRepository(folder);
  const unknown = [
    { ...config, format: "another" },
    { ...config, version: 1 },
    { ...config, version: 4 },
    { ...config, chunkBytes: 2 * CHUNK_BYTES },
    { ...config, encryption: { mode: "aes-256-gcm" } },
    { ...config, encryption: { mode: "rot13" } },
    { ...config, id: "not-a-uuid" },
    { ...config, features: undefined },
    { ...config, features: { read: [] } },
  ];
  for (const body of unknown) await refuses(folder, body, /./);
});

test("an unknown field is refused in versions 1 and 2, and ignored in version 3", async () => {
  const folder = await tempFolder();
  const { config } = await initRepository(folder);
  const { features: _, ...old } = config as typeof config & { features: unknown };
  const plain = { ...old, version: 1 };
  const encrypted = { ...old, version: 2, encryption: { mode: "aes-256-gcm", keyCheck: KEY_CHECK } };
  for (const body of [
    { ...plain, more: 1 },
    { ...plain, features: { read: [], write: [] } },
    { ...plain, encryption: { mode: "none", key: "x" } },
    { ...encrypted, more: 1 },
  ]) {
    await refuses(folder, body, /./);
  }
  const later = { ...config, more: 1, encryption: { mode: "none", note: "x" } };
  await writeFile(join(folder, CONFIG_KEY), sealJson(later));
  assert.deepEqual((await openRepository(folder)).config, config);
});

test("a feature that is needed for reading and unknown is named, whatever else is unknown", async () => {
  const folder = await tempFolder();
  const { config } = await initRepository(folder);
  const features = { read: ["zstd"], write: ["zstd"] };
  await refuses(folder, { ...config, features, encryption: { mode: "rot13" } }, /reading needs zstd/);
  await refuses(folder, { ...config, features, version: 4, more: 1 }, /reading needs zstd/);
});
